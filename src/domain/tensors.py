"""What the header of a safetensors file says of each tensor: type, shape and size."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

__all__ = ["TensorFact", "is_packed", "packed_bytes"]

_FLOATS = frozenset({"BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"})
_OPENED_BITS = 16


@dataclass(frozen=True, slots=True)
class TensorFact:
    """One tensor.

    Attributes:
        dtype: as the format spells it (`BF16`, `F16`, `F32`, `U32`, …).
        shape: elements per dimension, outermost first.
        size: bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    size: int

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


def is_packed(name: str, tensor: TensorFact) -> bool:
    """Whether a tensor holds quantized weights, as MLX packs them into 32-bit words."""
    return tensor.dtype == "U32" and name.endswith(".weight")


def packed_bytes(tensors: Mapping[str, TensorFact], *, bits: int, from_bits: int | None) -> int:
    """The least bytes these tensors can take at `bits` per weight; nothing that a runtime adds is counted.

    Args:
        bits: bits per weight afterwards; 16 when packed weights are opened.
        from_bits: bits per weight of those that are packed now.
    """
    return sum(_least_bytes(name, tensor, bits, from_bits) for name, tensor in tensors.items())


def _least_bytes(name: str, tensor: TensorFact, bits: int, from_bits: int | None) -> int:
    if is_packed(name, tensor) and from_bits:
        return tensor.size * bits // from_bits
    if name.endswith(".weight") and len(tensor.shape) > 1 and tensor.dtype in _FLOATS and bits < _OPENED_BITS:
        return prod(tensor.shape) * bits // 8
    return 0  # scales come and go; the rest is small
