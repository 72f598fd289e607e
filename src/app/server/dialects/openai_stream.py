"""The stream that OpenAI's chat and text completions share: chunks with one identity, and an end.

Chunks are assembled from pieces of JSON made once per stream, as most of a busy server's own work is here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from mlxk.app.server.dialects.dialect import Opening
from mlxk.app.server.dialects.openai_parts import DONE, encode, error_event, usage_of
from mlxk.app.server.errors import ErrorBody
from mlxk.domain.generation import Delta, Usage
from mlxk.domain.model import JsonValue

__all__ = ["OpenAIStream"]


class OpenAIStream(ABC):
    """One stream of chunks.

    Args:
        choices: how many each prompt has.
        usage_in_stream: it ends with a chunk of token counts.
    """

    def __init__(self, *, choices: int, usage_in_stream: bool) -> None:
        self._choices = choices
        self._usage_in_stream = usage_in_stream
        self._usages: dict[int, Usage] = {}
        self._prompt_tokens = 0
        self._identity = b""
        self._head = b""

    @abstractmethod
    def _event(self, index: int, delta: Delta) -> bytes:
        """The chunk of one delta of a choice; empty when it comes with the next one."""

    def _open(self, opening: Opening, identity: Mapping[str, JsonValue]) -> None:
        """Begin: `identity` is in every chunk, and the number of its choice follows `_head`."""
        self._prompt_tokens = opening.prompt_tokens
        self._identity = b"data: " + encode(identity)[:-1]
        usage = b',"usage":null' if self._usage_in_stream else b""
        self._head = self._identity + usage + b',"choices":[{"index":'

    def deltas(self, batch: Sequence[tuple[int, Delta]]) -> bytes:
        """A chunk for each delta; log-probabilities come with the next chunk of their choice."""
        return b"".join([self._event(index, delta) for index, delta in batch])

    def end(self) -> bytes:
        """The token counts, if asked for, and the end mark."""
        if not self._usage_in_stream:
            return DONE
        usages = [self._usages[index] for index in sorted(self._usages)]
        usage = encode(usage_of(self._prompt_tokens, usages, self._choices))
        return self._identity + b',"choices":[],"usage":' + usage + b"}\n\n" + DONE

    def failure(self, error: ErrorBody) -> bytes:
        """The error; nothing follows it."""
        return error_event(error)
