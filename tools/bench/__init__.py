"""Measurements, run by hand: `python -m tools.bench.listing`."""
