"""Converting as a decision: from what was observed to what to do, or why not.

The result is made in a staging directory beside the target, like a clone's, and renamed when it is whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from mlxk.domain.capabilities import architecture_of, config_number, describe, has_vision_parts
from mlxk.domain.clone_plan import Refused, TargetState
from mlxk.domain.compatibility import RuntimePackage, Runtimes
from mlxk.domain.convert_work import Quantize, RepairIndex, Work
from mlxk.domain.errors import ErrorKind
from mlxk.domain.families import VISION_CONVERTIBLE
from mlxk.domain.files import FileRole, is_weight_file, role_of
from mlxk.domain.findings import Remedy
from mlxk.domain.health import HealthReport
from mlxk.domain.manifest import MANIFEST_NAME
from mlxk.domain.model import ABSENT, Capability, Invalid, ModelType, SnapshotFacts
from mlxk.domain.quantization import MODES, Packing, packing_method
from mlxk.domain.sizes import human_size
from mlxk.domain.staging import StagingState
from mlxk.domain.tensors import TensorFact, packed_bytes
from mlxk.domain.weight_index import MAIN_INDEX, indexable_shards
from mlxk.domain.weights import weight_files

__all__ = [
    "AlreadyDone",
    "ConvertObservation",
    "ConvertPlan",
    "ConvertRequest",
    "Destination",
    "Engine",
    "plan_convert",
]

# What is wanted


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """What the user wants.

    Attributes:
        source: the model's name, for messages.
        target: absolute path.
        check_health: of the source before, and of the result after.
    """

    source: str
    target: str
    work: Work
    check_health: bool = True


# What is observed


@dataclass(frozen=True, slots=True)
class Destination:
    """What is where a workspace shall be.

    Attributes:
        overlaps: it lies in the source, or is it.
        same_volume: source and target can perhaps share blocks.
        free: bytes on its volume, or None.
    """

    state: TargetState
    overlaps: bool = False
    same_volume: bool = True
    free: int | None = None


@dataclass(frozen=True, slots=True)
class ConvertObservation:
    """What there is.

    Attributes:
        staging: what lies where the result is to be made; `PUBLISHED` when it was renamed to the target.
        same_request: that was by this very request.
        target_is_result: what is at the target is a workspace that such a request made (`is_result`).
        tensors: of the source's weights; empty where headers cannot be read.
    """

    target: Destination
    staging: StagingState
    staging_path: str
    facts: SnapshotFacts
    health: HealthReport
    runtimes: Runtimes
    same_request: bool = False
    target_is_result: bool = False
    tensors: Mapping[str, TensorFact] = field(default_factory=dict)


# What is to be done


class Engine(Enum):
    """Which package does the work on weights."""

    TEXT = "mlx-lm"
    VISION = "mlx-vlm"


_OPENED = {
    Engine.TEXT: frozenset({"awq", "compressed-tensors", "fp8", "gptq", "modelopt", "mxfp4", "mxfp8"}),
    Engine.VISION: frozenset({"compressed-tensors", "fp8", "modelopt", "mxfp4"}),
}
"""The `quant_method`s that each package loads as layers of MLX, which `dequantize_model` opens."""


@dataclass(frozen=True, slots=True)
class ConvertPlan:
    """What to do.

    Attributes:
        without: files of the source that are not carried over, because the work makes them anew.
        engine: None where no weights are touched.
        shards: the files of the new index; empty unless that is the work.
        warning: what the user should know of the result, or None.
    """

    without: frozenset[str]
    engine: Engine | None = None
    shards: tuple[str, ...] = ()
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """An earlier run of the same request was ended between its last two steps; only cleaning up is left."""


def plan_convert(request: ConvertRequest, seen: ConvertObservation) -> ConvertPlan | AlreadyDone | Refused:
    """Decide how to convert, or why not. Nothing is done, nothing is looked at."""
    published = seen.staging is StagingState.PUBLISHED and seen.target.state is TargetState.NOT_EMPTY
    if published and seen.same_request and seen.target_is_result:
        return AlreadyDone()
    refused = _unusable_target(request, seen) or _unhealthy(request, seen)
    if refused:
        return refused
    match request.work:
        case RepairIndex():
            return _no_space(request, seen, seen.facts.size) or _plan_index(request, seen)
        case Quantize() as work:
            return _plan_quantize(request, seen, work)
    return _plan_dequantize(request, seen)


_TARGET_HINTS = {
    TargetState.NO_PARENT: "make that directory first",
    TargetState.BELOW_FILE: "give a target in a directory, or move the file away",
    TargetState.UNWRITABLE: "check its permissions, or give another target",
}


def _unusable_target(request: ConvertRequest, seen: ConvertObservation) -> Refused | None:
    if seen.target.overlaps:
        return Refused(
            ErrorKind.INVALID_TARGET,
            f"The target {request.target} lies in the model that is to be converted.",
            "give a target outside of it",
        )
    if not seen.target.state.free:
        hint = _TARGET_HINTS.get(
            seen.target.state, "give a target that does not exist, or an empty directory"
        )
        return Refused(
            ErrorKind.INVALID_TARGET, f"The target {request.target} is {seen.target.state.value}.", hint
        )
    if seen.staging is StagingState.BUSY:
        return Refused(
            ErrorKind.OPERATION,
            f"Another process is converting to {request.target}.",
            "wait until it is done, or give another target",
        )
    if seen.staging is StagingState.FOREIGN:
        return Refused(
            ErrorKind.OPERATION,
            f"{seen.staging_path} is in the way, and mlxk did not make it.",
            "move it away, or give another target",
        )
    return None


def _unhealthy(request: ConvertRequest, seen: ConvertObservation) -> Refused | None:
    """A wrong index is what `--repair-index` is for; other damage would only be carried over."""
    if not request.check_health or seen.health.healthy:
        return None
    by_index = [finding.remedy is Remedy.REPAIR_INDEX for finding in seen.health.errors]
    if all(by_index):
        if isinstance(request.work, RepairIndex):
            return None
        return Refused(
            ErrorKind.OPERATION,
            f"Model '{request.source}' is damaged: {seen.health.reason}.",
            f"run `mlxk convert {request.source} OTHER_TARGET --repair-index` first",
        )
    return Refused(
        ErrorKind.OPERATION,
        f"Model '{request.source}' is damaged: {seen.health.reason}.",
        f"run `mlxk health {request.source}` to see what helps; --skip-health converts it all the same",
    )


def _plan_index(request: ConvertRequest, seen: ConvertObservation) -> ConvertPlan | Refused:
    shards = indexable_shards(seen.facts)
    if not shards:
        return Refused(
            ErrorKind.OPERATION,
            f"Model '{request.source}' has no safetensors files to index.",
            "only models with safetensors weights have an index",
        )
    healthy = "the model was healthy already" if seen.health.healthy else None
    return ConvertPlan(frozenset({MANIFEST_NAME, MAIN_INDEX}), shards=shards, warning=healthy)


def _plan_quantize(
    request: ConvertRequest, seen: ConvertObservation, work: Quantize
) -> ConvertPlan | Refused:
    engine = _engine(request, seen)
    if isinstance(engine, Refused):
        return engine
    packed = describe(seen.facts).quantization
    misfit = _misfit(seen, work.packing)
    if isinstance(misfit, Refused):
        return misfit
    need = packed_bytes(seen.tensors, bits=work.packing.bits, from_bits=packed.bits if packed else None)
    warnings = [misfit] if misfit else []
    if packed:
        warnings.append(
            f"the weights have {packed.bits} bits already; quantizing them again loses more than quantizing"
            " the original"
        )
    plan = ConvertPlan(_remade(seen.facts), engine, warning="; ".join(warnings) or None)
    return _no_space(request, seen, need) or plan


def _plan_dequantize(request: ConvertRequest, seen: ConvertObservation) -> ConvertPlan | Refused:
    packed = describe(seen.facts).quantization
    if packed is None:
        return _no_config(request, seen) or Refused(
            ErrorKind.VALIDATION,
            f"Model '{request.source}' is not quantized.",
            f"run `mlxk show {request.source}` to see what it is",
        )
    engine = _engine(request, seen)
    if isinstance(engine, Refused):
        return engine
    need = packed_bytes(seen.tensors, bits=16, from_bits=packed.bits)
    plan = ConvertPlan(
        _remade(seen.facts),
        engine,
        warning="what quantizing lost does not come back; only the format changes",
    )
    return _no_space(request, seen, need) or plan


# Which package can do it

_TOWERS = ("vision_tower", "vision_model", "visual", "image_newline", "audio_tower", "multi_modal_projector")


def _engine(request: ConvertRequest, seen: ConvertObservation) -> Engine | Refused:
    description = describe(seen.facts)
    if not indexable_shards(seen.facts):
        return Refused(
            ErrorKind.NOT_IMPLEMENTED,
            f"Model '{request.source}' has no safetensors weights, the only ones that can be converted.",
            "look for the same model with safetensors weights",
        )
    if (unknown := _no_config(request, seen)) is not None:
        return unknown
    if not all(file.readable for file in weight_files(seen.facts)):
        return Refused(
            ErrorKind.OPERATION,
            f"Some weights of '{request.source}' are links that lead nowhere or out of the model.",
            f"run `mlxk health {request.source}` to see which",
        )
    if description.model_type is ModelType.AUDIO:
        return Refused(
            ErrorKind.NOT_IMPLEMENTED,
            f"Model '{request.source}' recognises speech, and such models cannot be converted.",
            "text models and some that see can; look for a conversion on the Hub",
        )
    hears = Capability.AUDIO in description.capabilities
    sees = has_vision_parts(seen.facts) or Capability.VISION in description.capabilities
    if not (sees or hears or _has_tower(seen.tensors)):
        return _known(request, seen, Engine.TEXT, seen.runtimes.text)
    family = (description.architecture or "").lower()
    if hears or family not in VISION_CONVERTIBLE:
        return Refused(
            ErrorKind.UNSUPPORTED_MULTIMODAL,
            f"Model '{request.source}' does more than text, and its family '{family}' is not known to convert"
            " without losing that.",
            f"these are: {', '.join(VISION_CONVERTIBLE)}",
        )
    return _known(request, seen, Engine.VISION, seen.runtimes.vision)


def _no_config(request: ConvertRequest, seen: ConvertObservation) -> Refused | None:
    """Without a usable config.json nobody knows what the weights are, whatever package is asked."""
    match seen.facts.document("config.json"):
        case Invalid(reason):
            problem = f"The config.json of '{request.source}' is invalid: {reason}."
        case found if found is ABSENT:
            problem = (
                f"Model '{request.source}' has no config.json, and its weights mean nothing without one."
            )
        case _:
            return None
    return Refused(ErrorKind.OPERATION, problem, f"run `mlxk health {request.source}` to see what helps")


def _has_tower(tensors: Mapping[str, TensorFact]) -> bool:
    """Weights for images or sound that the config does not mention, and a text conversion would drop."""
    return any(part in _TOWERS for name in tensors for part in name.split(".")[:3])


def _known(
    request: ConvertRequest, seen: ConvertObservation, engine: Engine, package: RuntimePackage | None
) -> Engine | Refused:
    if package is None:
        extra = "'mlxk[vision]'" if engine is Engine.VISION else engine.value
        return Refused(
            ErrorKind.DEPENDENCY_MISSING,
            f"Converting '{request.source}' needs {engine.value}, which is not installed.",
            f"pip install {extra}",
        )
    config = seen.facts.config()
    if not package.knows(config):
        family = architecture_of(config)
        return Refused(
            ErrorKind.NOT_IMPLEMENTED,
            f"{engine.value} {package.version} does not know the model type '{family}'.",
            f"a newer one may: pip install --upgrade {engine.value}",
        )
    method = packing_method(config)
    if method is not None and method not in _OPENED[engine]:
        return Refused(
            ErrorKind.NOT_IMPLEMENTED,
            f"The weights of '{request.source}' are packed as '{method}', which {engine.value} cannot open.",
            "convert the original, which is not packed",
        )
    return engine


# Whether the numbers fit


def _misfit(seen: ConvertObservation, packing: Packing) -> Refused | str | None:
    """Layers whose width the group size does not divide stay as they are; too many of them is refused."""
    config = seen.facts.config()
    widths = {key: config_number(config, key) for key in ("hidden_size", "intermediate_size")}
    uneven = {key: width for key, width in widths.items() if width and width % packing.group_size}
    if not uneven:
        return None
    key, width = next(iter(uneven.items()))
    sentence = f"A group size of {packing.group_size} does not divide the model's {key} of {width}"
    fitting = [
        size
        for size in MODES[packing.mode].group_sizes
        if not any(width and width % size for width in widths.values())
    ]
    if fitting:
        options = " or ".join(f"--q-group-size {size}" for size in fitting)
        return Refused(ErrorKind.VALIDATION, f"{sentence}.", f"try {options}")
    if "hidden_size" in uneven:
        return Refused(ErrorKind.VALIDATION, f"{sentence}, and neither does any other.", "leave it as it is")
    return f"{sentence[0].lower()}{sentence[1:]}, so those layers stay as they are"


def _no_space(request: ConvertRequest, seen: ConvertObservation, need: int) -> Refused | None:
    """Refuse only what certainly does not fit."""
    shares = isinstance(request.work, RepairIndex) and seen.target.same_volume
    if seen.target.free is None or shares or need <= seen.target.free:
        return None
    return Refused(
        ErrorKind.INSUFFICIENT_DISK,
        f"The result needs at least {human_size(need)}, and {human_size(seen.target.free)} are free.",
        "free some space, or give a target on another volume",
    )


# What is carried over

_MODELOPT = "hf_quant_config.json"
"""How NVIDIA's ModelOpt packed the old weights; the packages read it where config.json says nothing."""


def _remade(facts: SnapshotFacts) -> frozenset[str]:
    """Files that do not go along when weights are made anew: the old ones in every form, and their index.

    Safetensors in folders stay: they are parts beside the model (sentence-transformers' dense layers).
    """
    return frozenset({"config.json", _MODELOPT, MANIFEST_NAME, *_paths(facts, _is_of_old_weights)})


def _paths(facts: SnapshotFacts, wanted: Callable[[str], bool]) -> list[str]:
    return [file.path for file in facts.files if wanted(file.path)]


def _is_of_old_weights(path: str) -> bool:
    if ".safetensors.index." in path:
        return "/" not in path
    nested_form = role_of(path) is FileRole.WEIGHTS and not path.endswith(".safetensors")
    return is_weight_file(path) or nested_form or path.endswith((".onnx", ".onnx_data"))
