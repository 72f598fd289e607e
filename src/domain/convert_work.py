"""What a conversion can do: exactly one kind of work."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mlxk.domain.errors import InvalidInput
from mlxk.domain.manifest import Manifest, Origin, Refusal
from mlxk.domain.model import JsonObject
from mlxk.domain.quantization import AFFINE, Packing, packing_of

__all__ = ["ConvertMode", "Dequantize", "Quantize", "RepairIndex", "Work", "is_result", "mode_of", "work_of"]


@dataclass(frozen=True, slots=True)
class RepairIndex:
    """Rebuild the weight index from the shards' headers, and leave everything else."""


@dataclass(frozen=True, slots=True)
class Quantize:
    """Pack the weights into fewer bits."""

    packing: Packing


@dataclass(frozen=True, slots=True)
class Dequantize:
    """Open packed weights."""


Work: TypeAlias = RepairIndex | Quantize | Dequantize


def work_of(
    *, repair_index: bool, bits: int | None, dequantize: bool, group_size: int | None, mode: str | None
) -> Work:
    """The one thing to do, from the options of the command.

    Raises:
        InvalidInput: none or several are asked for, or their options do not fit.
    """
    if [repair_index, bits is not None, dequantize].count(True) != 1:
        raise InvalidInput(
            "A conversion does exactly one thing.",
            hint="give --repair-index, --quantize BITS or --dequantize",
        )
    if bits is not None:
        return Quantize(packing_of(bits, group_size, mode or AFFINE))
    if group_size is not None or mode is not None:
        raise InvalidInput("--q-group-size and --q-mode belong to --quantize.", hint="leave them out")
    return RepairIndex() if repair_index else Dequantize()


ConvertMode: TypeAlias = Literal["quantize", "repair-index", "dequantize"]
"""The words of the JSON contract."""


def mode_of(work: Work) -> ConvertMode:
    """The word of the JSON contract for a kind of work."""
    match work:
        case RepairIndex():
            return "repair-index"
        case Quantize():
            return "quantize"
    return "dequantize"


def is_result(found: Manifest | Refusal, wanted: Origin) -> bool:
    """Whether a manifest is one that a conversion wrote; whatever the packages' versions."""
    if isinstance(found, Refusal) or found.operation != wanted.operation.value:
        return False
    same_source = (found.source_repo, found.source_revision) == (wanted.repo, wanted.revision)
    return same_source and _without_versions(found.recipe) == _without_versions(wanted.recipe)


def _without_versions(recipe: JsonObject | None) -> JsonObject:
    return {key: value for key, value in (recipe or {}).items() if key != "versions"}
