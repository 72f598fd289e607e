"""The HTTP server: dialects (what clients speak), the service that answers, the pool of warm models."""
