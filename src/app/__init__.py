"""Use cases, settings and the container that joins them to adapters."""
