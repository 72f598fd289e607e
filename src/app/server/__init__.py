"""The server: dialects (what clients speak), HTTP, and the engine behind `Service`, which joins them."""
