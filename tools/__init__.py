"""Tools for working on mlxk; none of it is installed."""
