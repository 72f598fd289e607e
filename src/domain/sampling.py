"""How the next token is chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlxk.domain.errors import InvalidInput

__all__ = ["Sampling"]

MAX_TEMPERATURE = 5.0
MIN_REPETITION_PENALTY = 0.01
"""Logits are divided by it; by much less, and they overflow."""

MAX_REPETITION_PENALTY = 10.0
MAX_TOP_K = 1_000_000
MAX_SEED = 2**64 - 1
MAX_PENALTY = 2.0
MAX_BIAS = 100.0
MAX_BIASES = 1024

_LONGEST_SHOWN = 10**21


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Defaults are those of `mlxk run`.

    Attributes:
        temperature: 0 is greedy; at most 5.
        top_p: keep the smallest set of tokens with this probability mass; (0, 1].
        top_k: keep this many tokens; 0 keeps all.
        min_p: drop tokens under this fraction of the best one's probability; [0, 1].
        repetition_penalty: divide the logits of recent tokens; 1 is none, [0.01, 10].
        seed: same seed, same model, same request: same answer. None draws one.
        presence_penalty: subtracted from the logit of every token already generated; [-2, 2].
        frequency_penalty: the same, once for each time it was generated; [-2, 2].
        logit_bias: token to what is added to its logit; each in [-100, 100].

    Raises:
        InvalidInput: a value is out of range or not a finite number.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.1
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_range("temperature", self.temperature, 0, MAX_TEMPERATURE)
        _check_range("top-p", self.top_p, 0, 1, low_open=True)
        _check_range("top-k", self.top_k, 0, MAX_TOP_K)
        _check_range("min-p", self.min_p, 0, 1)
        _check_range(
            "repetition-penalty", self.repetition_penalty, MIN_REPETITION_PENALTY, MAX_REPETITION_PENALTY
        )
        if self.seed is not None:
            _check_range("seed", self.seed, 0, MAX_SEED)
        _check_range("presence-penalty", self.presence_penalty, -MAX_PENALTY, MAX_PENALTY)
        _check_range("frequency-penalty", self.frequency_penalty, -MAX_PENALTY, MAX_PENALTY)
        if len(self.logit_bias) > MAX_BIASES:
            raise InvalidInput(
                f"The logit-bias has {len(self.logit_bias)} tokens; at most {MAX_BIASES} are allowed."
            )
        for bias in self.logit_bias.values():
            _check_range("logit-bias", bias, -MAX_BIAS, MAX_BIAS)


def _check_range(name: str, value: float, low: float, high: float, *, low_open: bool = False) -> None:
    if not low <= value <= high or (low_open and value == low):
        start, end = _shown(low), _shown(high)
        bounds = f"more than {start} and at most {end}" if low_open else f"between {start} and {end}"
        raise InvalidInput(
            f"The {name} must be {bounds}, not {_shown(value)}.", hint="`mlxk run --help` says what it does"
        )


def _shown(value: float) -> str:
    """A number as people write it."""
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < _LONGEST_SHOWN else "a number that large"
    return f"{value:g}"
