"""`mlxk list`: which models are here."""

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import Inspector, view
from mlxk.app.results import ListResult

__all__ = ["ListModels"]


class ListModels:
    """Lists the models of the cache, the workspaces and the package."""

    def __init__(self, catalog: Catalog, inspector: Inspector) -> None:
        self._catalog = catalog
        self._inspector = inspector

    def __call__(self, pattern: str | None = None) -> ListResult:
        """List every model whose name contains the pattern, or every one below a path.

        Raises:
            InvalidInput: the pattern can be neither a name nor a path.
            MlxkError: (`PERMISSION`) the cache or the workspace home cannot be read.
        """
        models = tuple(view(self._inspector(record)) for record in self._catalog.matching(pattern))
        return ListResult(models, len(models))
