"""Log-probabilities of answer tokens: computed next to the sampling, only for the sequences that ask.

They are those of the distribution that tokens are drawn from before temperature and the filters (top-p,
top-k, min-p): after penalties, biases and the grammar, as mlx-lm gives them. Tokens that a grammar forbids
are not among the likeliest ones.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import mlx.core as mx
from mlx_lm.tokenizer_utils import BPEStreamingDetokenizer

from mlxk.adapters.runtimes.tokenizer import Tokenizer
from mlxk.domain.generation import LogprobDelta, TokenLogprob

__all__ = ["RowLogprobs", "TokenNames", "logprobs_of"]

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_WORD_MARK = "▁"


@dataclass(frozen=True, slots=True)
class RowLogprobs:
    """What is kept of one row's distribution, not yet computed.

    Attributes:
        chosen: log-probability of the sampled token, [1].
        tokens, values: the likeliest tokens in no order, and their log-probabilities, [top].
    """

    chosen: mx.array
    tokens: mx.array
    values: mx.array


def logprobs_of(logits: mx.array, token: mx.array, top: int) -> RowLogprobs:
    """The log-probabilities of a token [1] and of the `top` likeliest ones, from one row of logits."""
    row = logits.astype(mx.float32)
    row = row - mx.logsumexp(row)
    top = min(top, row.shape[-1])
    tokens = mx.argpartition(-row, kth=top - 1)[:top] if top else mx.array([], dtype=mx.uint32)
    return RowLogprobs(row[token], tokens, row[tokens])


class TokenNames:
    """What tokens alone stand for.

    Args:
        tokenizer: the model's.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._is_byte_level = isinstance(tokenizer.detokenizer, BPEStreamingDetokenizer)

    def delta(self, token: int, row: RowLogprobs) -> LogprobDelta:
        """The log-probabilities of a sampled token."""
        tokens: list[int] = row.tokens.tolist()  # type: ignore[assignment]
        values: list[float] = row.values.tolist()  # type: ignore[assignment]
        likeliest = sorted(zip(values, tokens, strict=True), key=lambda pair: -pair[0])
        top = tuple(self._named(other, value) for value, other in likeliest if math.isfinite(value))
        chosen: float = row.chosen.item()  # type: ignore[assignment]
        return LogprobDelta(self._named(token, chosen), top)

    def _named(self, token: int, logprob: float) -> TokenLogprob:
        raw = self._bytes(token)
        return TokenLogprob(raw.decode("utf-8", "replace"), raw, logprob)

    def _bytes(self, token: int) -> bytes:
        if token >= len(self._tokenizer):
            return b""  # a padding row of the model
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if token in self._tokenizer.added_tokens_decoder:
            return piece.encode("utf-8")
        if self._is_byte_level:
            table = _bytes_of_characters()
            return b"".join(bytes([table[char]]) if char in table else char.encode("utf-8") for char in piece)
        if single := _BYTE_PIECE.fullmatch(piece):
            return bytes.fromhex(single[1])
        return piece.replace(_WORD_MARK, " ").encode("utf-8")


@cache
def _bytes_of_characters() -> Mapping[str, int]:
    """GPT-2's table: a printable character for each byte, its own where it has one."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
