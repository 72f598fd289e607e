"""Can this model run here? Facts and installed runtimes in, a reason out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["RuntimePackage", "Runtimes"]


@dataclass(frozen=True, slots=True)
class RuntimePackage:
    """An installed runtime and the model families it knows.

    Attributes:
        name: the distribution, e.g. `mlx-lm`.
        families: values of config.json's `model_type` it has a module for.
        remapping: aliases of families, as its loader applies them.
        architecture_remapping: `(model_type, architecture)` to family; wins over `remapping`.
        embedding_families: families its embedding loader knows (mlx-vlm only).
    """

    name: str
    version: str
    families: frozenset[str]
    remapping: Mapping[str, str] = field(default_factory=dict)
    architecture_remapping: Mapping[tuple[str, str], str] = field(default_factory=dict)
    embedding_families: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Runtimes:
    """The runtimes installed here; None where one is not."""

    text: RuntimePackage | None
    vision: RuntimePackage | None = None
    audio: RuntimePackage | None = None
