"""Models that ship with mlxk as package data."""
