"""How weights can be packed: the modes of MLX, with the bits and group sizes that each has.

Source: `mlx.core.quantize` and the defaults of `mlx_lm.utils.quantize_model`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mlxk.domain.errors import InvalidInput
from mlxk.domain.model import JsonObject

__all__ = ["AFFINE", "MODES", "Packing", "packing_method", "packing_of"]

AFFINE = "affine"


@dataclass(frozen=True, slots=True)
class _Mode:
    bits: tuple[int, ...]
    group_sizes: tuple[int, ...]
    default_group_size: int


MODES: Mapping[str, _Mode] = {
    AFFINE: _Mode((2, 3, 4, 6, 8), (32, 64, 128), 64),
    "mxfp4": _Mode((4,), (32,), 32),
    "mxfp8": _Mode((8,), (32,), 32),
    "nvfp4": _Mode((4,), (16,), 16),
}
"""What `--q-mode` can be. 5 bits, which MLX has too, gain nothing over 4 or 6 and are left out."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Bits per weight, weights per scale, and the mode, which fit together."""

    bits: int
    group_size: int
    mode: str = AFFINE

    def __str__(self) -> str:
        mode = "" if self.mode == AFFINE else f", {self.mode}"
        return f"{self.bits} bits, group size {self.group_size}{mode}"


def packing_of(bits: int, group_size: int | None, mode: str) -> Packing:
    """A packing from what the user typed; without a group size, the mode's own.

    Raises:
        InvalidInput: there is no such mode, or it has other bits or group sizes.
    """
    known = MODES.get(mode)
    if known is None:
        raise InvalidInput(f"There is no quantization mode '{mode}'.", hint=f"one of {', '.join(MODES)}")
    if bits not in known.bits:
        raise InvalidInput(
            f"{bits} bits per weight are not possible in mode '{mode}'.", hint=f"one of {_listed(known.bits)}"
        )
    chosen = known.default_group_size if group_size is None else group_size
    if chosen not in known.group_sizes:
        raise InvalidInput(
            f"A group size of {chosen} is not possible in mode '{mode}'.",
            hint=f"one of {_listed(known.group_sizes)}",
        )
    return Packing(bits, chosen, mode)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def packing_method(config: JsonObject) -> str | None:
    """What another program than MLX packed the weights with (`quant_method`); None where none did."""
    if config.get("quantization") is not None:  # the packages look no further
        return None
    for level in (config, config.get("text_config")):
        found = level.get("quantization_config") if isinstance(level, Mapping) else None
        if isinstance(found, Mapping):
            method = found.get("quant_method")
            return method if isinstance(method, str) else None
    return None
