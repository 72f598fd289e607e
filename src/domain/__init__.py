"""Pure domain services: they decide, import only the standard library, and do no I/O."""
