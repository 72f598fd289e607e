"""The command line: translates arguments and renders results."""
