"""Joins use cases to adapters; the one place that knows both."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.hf_cache import HuggingFaceCache, cache_root
from mlxk.adapters.host import ThisMachine
from mlxk.adapters.snapshot_facts import SnapshotReader
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.adapters.workspaces import WorkspaceHome
from mlxk.app.catalog import Catalog
from mlxk.app.inspection import Inspector
from mlxk.app.settings import Settings

if TYPE_CHECKING:
    from mlxk.app.convert import Convert, ConvertTools
    from mlxk.app.diff import Diff
    from mlxk.app.health import CheckHealth
    from mlxk.app.list_models import ListModels
    from mlxk.app.run import Run
    from mlxk.app.show import Show
    from mlxk.domain.ports import TextRuntime, Verifier


@contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Imports inside see these packages as not installed, unless they are loaded already."""
    hidden = [package for package in packages if package not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is import's own "not there"
    try:
        yield
    finally:
        for package in hidden:
            sys.modules.pop(package, None)


# dependency_injector.wiring imports FastAPI where it is installed, for decorators that are not used here;
# that would make every command 0.2 s slower.
with _without("fastapi", "starlette", "fast_depends"):
    from dependency_injector import containers, providers

__all__ = ["Container", "container_for"]


def _later(module: str, name: str) -> Callable[..., Any]:
    """A class imported when the first one is made, so that a command loads only what it uses."""

    def make(*parts: object) -> object:
        return attrgetter(name)(import_module(module))(*parts)

    return make


def _remembered() -> Path:
    """Where receipts and other things worth remembering are kept; losing it costs time only."""
    from platformdirs import user_cache_path

    return user_cache_path("mlxk")


class Container(containers.DeclarativeContainer):
    """Settings, adapters (one each, built on first use) and use cases (one per call)."""

    environ: providers.Dependency[Mapping[str, str]] = providers.Dependency()
    remembered = providers.Singleton(_remembered)
    receipts = providers.Singleton(Path.joinpath, remembered, "receipts")

    settings = providers.Singleton(Settings.from_environment, environ)
    cache_directory = providers.Singleton(cache_root, environ)
    cache = providers.Singleton(HuggingFaceCache, cache_directory)
    integrity = providers.Singleton(DiskIntegrity)
    workspaces = providers.Singleton(WorkspaceHome, settings.provided.workspace_home, integrity)
    bundled = providers.Singleton(BundledModels)
    reader = providers.Singleton(SnapshotReader)
    host = providers.Singleton(ThisMachine, remembered)
    verifier: "providers.Singleton[Verifier]" = providers.Singleton(
        _later("mlxk.adapters.verifier", "DigestVerifier"), receipts
    )
    text_runtime: "providers.Singleton[TextRuntime]" = providers.Singleton(
        _later("mlxk.adapters.runtimes.text", "MlxTextRuntime")
    )

    catalog = providers.Singleton(Catalog, cache, workspaces, bundled)
    inspector = providers.Singleton(Inspector, reader, host)

    list_models: "providers.Factory[ListModels]" = providers.Factory(
        _later("mlxk.app.list_models", "ListModels"), catalog, inspector
    )
    show: "providers.Factory[Show]" = providers.Factory(_later("mlxk.app.show", "Show"), catalog, inspector)
    check_health: "providers.Factory[CheckHealth]" = providers.Factory(
        _later("mlxk.app.health", "CheckHealth"), catalog, inspector, verifier
    )
    run: "providers.Factory[Run]" = providers.Factory(
        _later("mlxk.app.run", "Run"), catalog, inspector, host, text_runtime
    )

    tensor_reader = providers.Singleton(_later("mlxk.adapters.tensor_headers", "HeaderTensorReader"))
    convert_tools: "providers.Singleton[ConvertTools]" = providers.Singleton(
        _later("mlxk.app.convert", "ConvertTools"),
        providers.Singleton(_later("mlxk.adapters.destination", "DiskDestinations"), cache_directory),
        providers.Singleton(_later("mlxk.adapters.staging", "StagingArea")),
        providers.Singleton(_later("mlxk.adapters.tree_copy", "VolumeTreeCopier.for_this_system")),
        tensor_reader,
        providers.Singleton(_later("mlxk.adapters.index_builder", "HeaderIndexBuilder")),
        providers.Singleton(_later("mlxk.adapters.quantizer", "MlxQuantizer")),
        integrity,
    )
    convert: "providers.Factory[Convert]" = providers.Factory(
        _later("mlxk.app.convert", "Convert"),
        catalog,
        inspector,
        reader,
        host,
        convert_tools,
        settings.provided.workspace_home,
    )
    diff: "providers.Factory[Diff]" = providers.Factory(
        _later("mlxk.app.diff", "Diff"),
        catalog,
        reader,
        tensor_reader,
        providers.Singleton(_later("mlxk.adapters.known_digests", "RecordedDigests")),
        verifier,
    )


def container_for(environ: Mapping[str, str]) -> Container:
    """A container for one process, from its environment."""
    return Container(environ=environ)
