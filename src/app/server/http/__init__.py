"""The HTTP side: the application, its guards and routes, and the process that hosts them."""
