"""Joins use cases to adapters; the one place that knows both."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlxk.adapters.bundled import BundledModels
from mlxk.adapters.hf_cache import HuggingFaceCache, cache_root, private_places
from mlxk.adapters.host import ThisMachine
from mlxk.adapters.snapshot_facts import SnapshotReader
from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.adapters.workspaces import WorkspaceHome
from mlxk.app.catalog import Catalog
from mlxk.app.inspection import Inspector
from mlxk.app.settings import ServerSettings, Settings
from mlxk.domain.errors import ErrorKind, MlxkError

if TYPE_CHECKING:
    from mlxk.app.clone import Clone
    from mlxk.app.clone_source import CloneSources
    from mlxk.app.convert import Convert, ConvertTools
    from mlxk.app.diff import Diff
    from mlxk.app.fix import Fix
    from mlxk.app.health import CheckHealth
    from mlxk.app.list_models import ListModels
    from mlxk.app.pull import Pull
    from mlxk.app.push import Push
    from mlxk.app.rm import Rm
    from mlxk.app.run import Run
    from mlxk.app.serve import Serve
    from mlxk.app.show import Show
    from mlxk.domain.ports import (
        BatchingTextRuntime,
        CacheFetcher,
        CacheRemover,
        CloneTargets,
        Hub,
        HubUploader,
        PushFolders,
        Staging,
        TextRuntime,
        TreeCopier,
        Verifier,
    )


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


@contextmanager
def _with_idle_settings() -> Iterator[None]:
    """Imports inside find a `pydantic_settings` in which nothing is, unless it is loaded already."""
    if "pydantic_settings" in sys.modules:
        yield
        return
    idle = ModuleType("pydantic_settings")
    idle.__dict__["BaseSettings"] = type("BaseSettings", (), {})
    sys.modules["pydantic_settings"] = idle
    try:
        yield
    finally:
        del sys.modules["pydantic_settings"]


# dependency_injector imports FastAPI, YAML and pydantic where they are installed, for what is not used here:
# decorators, configuration files, settings classes. That would make every command 0.25 s slower.
with _without("fastapi", "starlette", "fast_depends", "werkzeug", "yaml"), _with_idle_settings():
    from dependency_injector import containers, providers

__all__ = ["Container", "container_for"]

BATCH_ON_SERVER = 32
"""Generations of one model that run at once."""

PREFILL_ON_SERVER = 64
"""Prompt tokens computed at once on a CPU: no Ctrl-C waits for it there, as at a terminal."""


def _later(module: str, name: str) -> Callable[..., Any]:
    """A class, or a function of one, imported at its first call: a command loads only what it uses."""

    def make(*parts: object, **options: object) -> object:
        return attrgetter(name)(import_module(module))(*parts, **options)

    return make


def _remembered() -> Path:
    """Where receipts and other things worth remembering are kept; losing it costs time only."""
    from platformdirs import user_cache_path

    return user_cache_path("mlxk")


def _cache_to_write(root: Path | None) -> Path:
    """The cache directory of a command that downloads.

    Raises:
        MlxkError: (`PERMISSION`) there is none, nor a home directory to make one in.
    """
    if root is None:
        raise MlxkError(
            ErrorKind.PERMISSION,
            "There is no home directory for the model cache.",
            hint="set HF_HOME to a directory you can write",
        )
    return root


class Container(containers.DeclarativeContainer):
    """Settings, adapters (one each, built on first use) and use cases (one per call)."""

    environ: providers.Dependency[Mapping[str, str]] = providers.Dependency()
    remembered = providers.Singleton(_remembered)
    receipts = providers.Singleton(Path.joinpath, remembered, "receipts")

    settings = providers.Singleton(Settings.from_environment, environ)
    server_settings = providers.Singleton(ServerSettings.from_environment, environ)
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
    endpoint = providers.Singleton(_later("mlxk.adapters.hub.client", "endpoint_in"), environ)
    hub: "providers.Singleton[Hub]" = providers.Singleton(
        _later("mlxk.adapters.hub.client", "HuggingFaceHub"), endpoint=endpoint
    )
    source = providers.Singleton(_later("mlxk.adapters.hub.blob_download", "BlobSource"), endpoint=endpoint)
    fetcher: "providers.Singleton[CacheFetcher]" = providers.Singleton(
        _later("mlxk.adapters.hub.fetcher", "HubCacheFetcher"),
        providers.Singleton(_cache_to_write, cache_directory),
        source,
    )
    remover: "providers.Singleton[CacheRemover]" = providers.Singleton(
        _later("mlxk.adapters.hub.remover", "HubCacheRemover"), cache_directory
    )
    fetcher_for: "providers.Factory[CacheFetcher]" = providers.Factory(
        _later("mlxk.adapters.hub.fetcher", "HubCacheFetcher"), source=source
    )
    clone_targets: "providers.Singleton[CloneTargets]" = providers.Singleton(
        _later("mlxk.adapters.clone_target", "TargetDirectories"),
        settings.provided.workspace_home,
        cache_directory,
    )
    staging: "providers.Singleton[Staging]" = providers.Singleton(
        _later("mlxk.adapters.staging", "StagingArea")
    )
    copier: "providers.Singleton[TreeCopier]" = providers.Singleton(
        _later("mlxk.adapters.tree_copy", "VolumeTreeCopier.for_this_system")
    )
    text_runtime: "providers.Singleton[TextRuntime]" = providers.Singleton(
        _later("mlxk.adapters.runtimes.text", "MlxTextRuntime"),
        prompt_cache_bytes=0,  # a process that answers once has nobody to keep a prompt for
    )
    batching_runtime: "providers.Singleton[BatchingTextRuntime]" = providers.Singleton(
        _later("mlxk.adapters.runtimes.text", "MlxTextRuntime"),
        max_batch=BATCH_ON_SERVER,
        prefill_on_cpu=PREFILL_ON_SERVER,
    )
    uploader: "providers.Singleton[HubUploader]" = providers.Singleton(
        _later("mlxk.adapters.hub.uploads", "HuggingFaceUploads")
    )
    push_folders: "providers.Singleton[PushFolders]" = providers.Singleton(
        _later("mlxk.adapters.push_folders", "DiskPushFolders"),
        cache_directory,
        settings.provided.workspace_home,
        providers.Singleton(private_places, environ),
    )
    redactor = providers.Singleton(_later("mlxk.app.logs", "redactor_for"), environ)

    catalog = providers.Singleton(Catalog, cache, workspaces, bundled)
    inspector = providers.Singleton(Inspector, reader, host)

    list_models: "providers.Factory[ListModels]" = providers.Factory(
        _later("mlxk.app.list_models", "ListModels"), catalog, inspector
    )
    show: "providers.Factory[Show]" = providers.Factory(
        _later("mlxk.app.show", "Show"), catalog, inspector, integrity
    )
    check_health: "providers.Factory[CheckHealth]" = providers.Factory(
        _later("mlxk.app.health", "CheckHealth"), catalog, inspector, verifier, integrity
    )
    clone_sources: "providers.Factory[CloneSources]" = providers.Factory(
        _later("mlxk.app.clone_source", "CloneSources"),
        catalog,
        cache,
        reader,
        integrity,
        hub,
        fetcher_for.provider,
        cache_directory,
    )
    clone: "providers.Factory[Clone]" = providers.Factory(
        _later("mlxk.app.clone", "Clone"),
        clone_sources,
        clone_targets,
        staging,
        copier,
        integrity,
        reader,
        hub,
        fetcher_for.provider,
    )
    fix: "providers.Factory[Fix]" = providers.Factory(
        _later("mlxk.app.fix", "Fix"), catalog, check_health, hub, fetcher
    )
    pull: "providers.Factory[Pull]" = providers.Factory(
        _later("mlxk.app.pull", "Pull"), hub, fetcher, cache, inspector
    )
    rm: "providers.Factory[Rm]" = providers.Factory(_later("mlxk.app.rm", "Rm"), catalog, remover)
    run: "providers.Factory[Run]" = providers.Factory(
        _later("mlxk.app.run", "Run"), catalog, inspector, host, text_runtime
    )
    serve: "providers.Factory[Serve]" = providers.Factory(
        _later("mlxk.app.serve", "Serve"),
        catalog,
        inspector,
        host,
        batching_runtime,
        providers.Factory(_later("mlxk.app.logs", "redactor_for"), environ).provider,
    )
    push: "providers.Factory[Push]" = providers.Factory(
        _later("mlxk.app.push", "Push"), push_folders, reader, verifier, hub, uploader, redactor
    )

    tensor_reader = providers.Singleton(_later("mlxk.adapters.tensor_headers", "HeaderTensorReader"))
    known_digests = providers.Singleton(_later("mlxk.adapters.known_digests", "RecordedDigests"))
    convert_tools: "providers.Singleton[ConvertTools]" = providers.Singleton(
        _later("mlxk.app.convert", "ConvertTools"),
        providers.Singleton(_later("mlxk.adapters.destination", "DiskDestinations"), clone_targets),
        staging,
        copier,
        tensor_reader,
        providers.Singleton(_later("mlxk.adapters.index_builder", "HeaderIndexBuilder")),
        providers.Singleton(_later("mlxk.adapters.quantizer", "MlxQuantizer")),
        integrity,
        known_digests,
        # Without receipts: they would be of the directory that the result is made in.
        providers.Singleton(_later("mlxk.adapters.verifier", "DigestVerifier"), None),
    )
    convert: "providers.Factory[Convert]" = providers.Factory(
        _later("mlxk.app.convert", "Convert"),
        catalog,
        inspector,
        reader,
        host,
        convert_tools,
    )
    diff: "providers.Factory[Diff]" = providers.Factory(
        _later("mlxk.app.diff", "Diff"),
        catalog,
        reader,
        tensor_reader,
        known_digests,
        verifier,
    )


def container_for(environ: Mapping[str, str]) -> Container:
    """A container for one process, from its environment."""
    return Container(environ=environ)
