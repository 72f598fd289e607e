"""This machine: its memory, and what the installed runtimes support.

A runtime is looked at as files, never imported: importing mlx-lm takes most of a second, its list of
families a few milliseconds. What was found is remembered until the package changes.
"""

import ast
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from mlxk.adapters.remembered import recall, remember
from mlxk.domain.compatibility import RuntimePackage, Runtimes
from mlxk.domain.memory import MemoryFacts
from mlxk.domain.model import JsonValue

__all__ = ["ThisMachine"]

_FILE = "runtimes.json"
_MAX_SOURCE = 4 * 1024 * 1024

_MODEL_DEFINED = re.compile(rb"^class Model\b|\bimport\b[^#\n]*\bModel\b", re.MULTILINE)
_MODEL_EXPORTED = re.compile(rb"\bModel\b|import \*")
_EXITS_WITHOUT = re.compile(
    rb"^try:\n[ \t]+import (\w+)[^\n]*\nexcept ImportError:\n(?:[ \t]+[^\n]*\n)*?[ \t]+sys\.exit\(",
    re.MULTILINE,
)
"""A module that ends the process when another package is missing (mlx_lm.models.olmo)."""
_EMBEDDING = re.compile(rb"\bEmbeddingOutput\([^()]*text_embeds=")


@dataclass(frozen=True, slots=True)
class _Package:
    """Where a runtime keeps what is asked of it; paths are relative to the package.

    Attributes:
        models: the directory with a module or package per family.
        loader: the source with the tables of aliases.
        embeddings: the source with the aliases of embedding models, if it runs those.
    """

    distribution: str
    name: str
    models: str
    loader: str
    embeddings: str | None = None


_TEXT = _Package("mlx-lm", "mlx_lm", "models", "utils.py")
_VISION = _Package("mlx-vlm", "mlx_vlm", "models", "utils.py", "embedding_loader.py")
_AUDIO = _Package("mlx-audio", "mlx_audio", "stt/models", "stt/utils.py")


class ThisMachine:
    """Memory and installed runtimes of the machine this runs on.

    Args:
        remembered: directory in which to remember what runtimes support, made when needed; None, or one
            that cannot be written, only means that it is looked up each time.
        search_path: where packages are looked for; the interpreter's own unless given.
    """

    def __init__(self, remembered: Path | None = None, search_path: Sequence[str] | None = None) -> None:
        self._file = remembered / _FILE if remembered else None
        self._search_path = search_path

    def memory(self) -> MemoryFacts:
        """Physical memory, and what is available now without swapping (psutil)."""
        import psutil

        now = psutil.virtual_memory()
        return MemoryFacts(total=now.total, available=now.available)

    def runtimes(self) -> Runtimes:
        """What the installed mlx-lm, mlx-vlm and mlx-audio support, read without importing them."""
        known = dict(recall(self._file)) if self._file else {}
        before = dict(known)
        text, vision, audio = (self._package(package, known) for package in (_TEXT, _VISION, _AUDIO))
        if self._file and known != before:
            remember(self._file, known)
        return Runtimes(text, vision, audio)

    def _package(self, package: _Package, known: dict[str, JsonValue]) -> RuntimePackage | None:
        root = self._root_of(package.name)
        if root is None:
            return None
        state = _state(root, package)
        kept = known.get(package.distribution)
        if isinstance(kept, Mapping) and kept.get("state") == state and (found := _from_json(package, kept)):
            return found
        found = _look_into(root, package)
        known[package.distribution] = {"state": state, **_to_json(found)}
        return found

    def _root_of(self, name: str) -> Path | None:
        # For a top-level package this is what an import asks first; no code of the package runs.
        try:
            spec = (
                find_spec(name)
                if self._search_path is None
                else PathFinder.find_spec(name, self._search_path)
            )
        except ValueError:  # something stands for the package that is no package
            return None
        locations = spec.submodule_search_locations if spec else None
        return Path(next(iter(locations))) if locations else None


def _state(root: Path, package: _Package) -> list[JsonValue]:
    """What changes when the package does: its place, version, and the times of what is read."""
    read = (package.models, package.loader, *([package.embeddings] if package.embeddings else []))
    return [str(root), _version(root, package), *(_mtime_ns(root / path) for path in read)]


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _version(root: Path, package: _Package) -> str:
    """The version in the name of the metadata directory beside the package; else asked of importlib."""
    beginning = f"{package.name}-"
    for name in os.listdir(root.parent):  # noqa: PTH208 - names only
        if name.startswith(beginning) and name.endswith(".dist-info"):
            return name.removeprefix(beginning).removesuffix(".dist-info")
    from importlib import metadata  # 20 ms, and needed only for editable installs

    try:
        return metadata.version(package.distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _look_into(root: Path, package: _Package) -> RuntimePackage:
    tables = _tables(root / package.loader)
    families = _families(root / package.models)
    return RuntimePackage(
        name=package.distribution,
        version=_version(root, package),
        families=frozenset(families),
        remapping=_aliases(tables.get("MODEL_REMAPPING")),
        architecture_remapping=_architecture_aliases(tables.get("MODEL_ARCHITECTURE_REMAPPING")),
        embedding_families=_embedding_families(root, package, families),
    )


def _families(models: Path) -> dict[str, Path]:
    """Every module or package that has the `Model` a loader asks for and can be imported here, by name."""
    found: dict[str, Path] = {}
    for path in sorted(_listed(models)):
        initial = path / "__init__.py"
        if path.suffix == ".py" and _matches(path, _MODEL_DEFINED) and not _would_exit(path):
            found[path.stem] = path
        elif path.suffix == "" and _matches(initial, _MODEL_EXPORTED):
            found[path.name] = path
    return found


def _would_exit(module: Path) -> bool:
    needed = _EXITS_WITHOUT.search(module.read_bytes())
    return needed is not None and find_spec(needed[1].decode()) is None


def _embedding_families(root: Path, package: _Package, families: Mapping[str, Path]) -> frozenset[str]:
    """Families whose output is an embedding, and the aliases under which the embedding loader knows them."""
    if package.embeddings is None:
        return frozenset()
    own = {
        name
        for name, path in families.items()
        if any(file.suffix == ".py" and _matches(file, _EMBEDDING) for file in _listed(path))
    }
    aliases = _aliases(_tables(root / package.embeddings).get("EMBEDDING_MODEL_REMAPPING"))
    return frozenset(own | {alias for alias, family in aliases.items() if family in own})


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _matches(file: Path, pattern: re.Pattern[bytes]) -> bool:
    try:
        return pattern.search(file.read_bytes()) is not None
    except OSError:
        return False


def _tables(source: Path) -> dict[str, object]:
    """The literals that a source assigns to names at its top level; empty when it cannot be read."""
    try:
        tree = ast.parse(source.read_bytes()[:_MAX_SOURCE])
    except (OSError, SyntaxError, ValueError, RecursionError):
        return {}
    tables: dict[str, object] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as value):
                tables[name] = _literal(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() as value):
                tables[name] = _literal(value)
    return tables


def _literal(value: ast.Dict) -> object:
    try:
        return ast.literal_eval(value)
    except ValueError:  # not a literal throughout
        return None


def _aliases(table: object) -> dict[str, str]:
    if not isinstance(table, Mapping):
        return {}
    return {key: value for key, value in table.items() if isinstance(key, str) and isinstance(value, str)}


def _architecture_aliases(table: object) -> dict[tuple[str, str], str]:
    if not isinstance(table, Mapping):
        return {}
    found: dict[tuple[str, str], str] = {}
    for key, value in table.items():
        match key, value:
            case (str(family), str(architecture)), str(target):
                found[family, architecture] = target
    return found


def _to_json(found: RuntimePackage) -> dict[str, JsonValue]:
    return {
        "version": found.version,
        "families": sorted(found.families),
        "remapping": dict(found.remapping),
        "architecture_remapping": [[*key, value] for key, value in found.architecture_remapping.items()],
        "embedding_families": sorted(found.embedding_families),
    }


def _from_json(package: _Package, kept: Mapping[str, JsonValue]) -> RuntimePackage | None:
    """What was remembered, or None when it is not what was written."""
    match kept:
        case {
            "version": str(version),
            "families": [*families],
            "remapping": {**remapping},
            "architecture_remapping": [*architectures],
            "embedding_families": [*embeddings],
        }:
            return RuntimePackage(
                package.distribution,
                version,
                frozenset(map(str, families)),
                _aliases(remapping),
                {(str(a), str(b)): str(c) for a, b, c in _triples(architectures)},
                frozenset(map(str, embeddings)),
            )
    return None


def _triples(rows: Sequence[JsonValue]) -> list[tuple[JsonValue, JsonValue, JsonValue]]:
    return [(row[0], row[1], row[2]) for row in rows if isinstance(row, list) and len(row) == 3]
