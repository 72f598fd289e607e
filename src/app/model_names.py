"""Just the names of the models here, for shell completion.

Joins adapters itself instead of through the container, whose import alone takes longer than a TAB may.
"""

from collections.abc import Mapping

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.hf_cache import HuggingFaceCache, cache_root
from mlxk.adapters.workspaces import WorkspaceHome
from mlxk.app.settings import Settings
from mlxk.domain.resolution import short_name

__all__ = ["model_names"]


def model_names(environ: Mapping[str, str]) -> list[str]:
    """The names of all models, sorted: cached ids, directory names in the workspace home, bundled models.

    Raises:
        MlxkError: a setting is wrong, or the cache cannot be read.
    """
    settings = Settings.from_environment(environ)
    stores = (
        HuggingFaceCache(cache_root(environ)),
        WorkspaceHome(settings.workspace_home),
        BundledModels(),
    )
    return sorted({short_name(record) for store in stores for record in store.records()})
