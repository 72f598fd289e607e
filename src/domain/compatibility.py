"""Can this model run here? Facts and installed runtimes in, a reason why not out.

Only asked of healthy models; integrity is `health`'s question and beats this one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlxk.domain.capabilities import architecture_of
from mlxk.domain.model import (
    AudioBackend,
    Capability,
    Description,
    Framework,
    JsonObject,
    ModelType,
    SnapshotFacts,
)
from mlxk.domain.weights import weight_files

__all__ = ["RuntimePackage", "Runtimes", "runtime_problem", "text_problem"]

_NO_MODEL_TYPE = "config.json has no model_type"


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

    def family_of(self, config: JsonObject) -> str | None:
        """The family whose module would load this config, known or not; None when nothing tells it.

        As `mlx_lm.utils._get_classes` does it: by architecture first, then by alias.
        """
        model_type = architecture_of(config)
        if model_type is None:
            return None
        for architecture in _architectures(config):
            remapped = self.architecture_remapping.get((model_type, architecture))
            if remapped is not None:
                return remapped
        return self.remapping.get(model_type, model_type)

    def knows(self, config: JsonObject) -> bool:
        """Whether it has a module for this config."""
        return self.family_of(config) in self.families


def _architectures(config: JsonObject) -> Iterable[str]:
    found = config.get("architectures")
    if isinstance(found, str):
        return [found]
    return [name for name in found if isinstance(name, str)] if isinstance(found, (list, tuple)) else []


@dataclass(frozen=True, slots=True)
class Runtimes:
    """The runtimes installed here; None where one is not."""

    text: RuntimePackage | None
    vision: RuntimePackage | None = None
    audio: RuntimePackage | None = None


def runtime_problem(facts: SnapshotFacts, description: Description, runtimes: Runtimes) -> str | None:
    """Why a healthy model cannot run here, by the first gate that fails; None when it can."""
    problem = _framework_problem(description)
    if problem:
        return problem
    if description.model_type is not ModelType.UNKNOWN and not description.capabilities:
        return f"Nothing here runs models of the family '{description.architecture}'"
    if description.audio_backend is AudioBackend.MLX_AUDIO:
        return _package_problem(runtimes.audio, "mlx-audio", "audio", facts.config())
    multimodal = {Capability.VISION, Capability.AUDIO} & set(description.capabilities)
    if multimodal:
        return _package_problem(runtimes.vision, "mlx-vlm", "vision", facts.config())
    if description.model_type is ModelType.EMBEDDING:
        return _embedding_problem(runtimes.vision, facts.config())
    return _loading_problem(facts, runtimes)


def text_problem(facts: SnapshotFacts, description: Description, runtimes: Runtimes) -> str | None:
    """Why a healthy model cannot answer a text prompt here, by the first gate that fails; None when it can.

    Images and sound are not asked for: mlx-lm runs the text part of a multimodal model whose family it knows.
    """
    problem = _framework_problem(description)
    if problem is None and Capability.TEXT_GENERATION not in description.capabilities:
        problem = f"It does not generate text: it is of type '{description.model_type.value}'"
    return problem or _loading_problem(facts, runtimes)


def _framework_problem(description: Description) -> str | None:
    if description.framework is Framework.MLX:
        return None
    return f"{description.framework.value} weights do not run on MLX"


def _loading_problem(facts: SnapshotFacts, runtimes: Runtimes) -> str | None:
    """Why mlx-lm cannot load the model."""
    problem = _package_problem(runtimes.text, "mlx-lm", None, facts.config())
    return problem or _weight_name_problem(facts)


def _package_problem(
    package: RuntimePackage | None, name: str, extra: str | None, config: JsonObject
) -> str | None:
    if package is None:
        return f"{name} is not installed: {_install(name, extra)}"
    family = architecture_of(config)
    if family is None:
        return _NO_MODEL_TYPE
    if not package.knows(config):
        return (
            f"Model type '{family}' is not supported by {name} {package.version}; a newer {name} may know it"
        )
    return None


def _install(name: str, extra: str | None) -> str:
    return f"pip install 'mlxk[{extra}]'" if extra else f"pip install {name}"


def _embedding_problem(package: RuntimePackage | None, config: JsonObject) -> str | None:
    if package is None:
        return f"mlx-vlm is not installed: {_install('mlx-vlm', 'vision')}"
    family = config.get("model_type")  # the embedding loader has aliases of its own, listed as families
    if not isinstance(family, str) or not family:
        return _NO_MODEL_TYPE
    if family not in package.embedding_families:
        return f"Embedding family '{family}' is not supported by mlx-vlm {package.version}"
    return None


def _weight_name_problem(facts: SnapshotFacts) -> str | None:
    """mlx-lm loads `model*.safetensors` only (`mlx_lm.utils.load_model`)."""
    names = [file.path for file in weight_files(facts)]
    if any(name.startswith("model") and name.endswith(".safetensors") for name in names):
        return None
    if any(name.startswith("weights") for name in names):
        return "Legacy weight names (weights.*): mlx-lm loads model*.safetensors only"
    return "No model*.safetensors file for mlx-lm to load"
