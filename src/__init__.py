"""mlxk: manage and run MLX models on your own machine.

Importing this package loads nothing; other programs embed `mlxk.domain` (see docs/embedding.md).
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
