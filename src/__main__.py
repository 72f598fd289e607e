"""`python -m mlxk` is `mlxk`."""

from mlxk.cli.main import main

main()
