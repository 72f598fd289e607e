"""Runtimes: loaded models that generate."""
