"""What a conversion can do: exactly one kind of work."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mlxk.domain.errors import InvalidInput
from mlxk.domain.quantization import AFFINE, Packing, packing_of

__all__ = ["ConvertMode", "Dequantize", "Quantize", "RepairIndex", "Work", "mode_of", "work_of"]


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
