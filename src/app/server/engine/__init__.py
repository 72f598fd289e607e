"""Behind the routes: warm models, the threads that own them, and which work begins when."""
