"""Anthropic's Messages: `POST /v1/messages` and `POST /v1/messages/count_tokens`.

Source: the API reference of Anthropic and the types of the `anthropic` package.
"""

from collections.abc import Sequence

from mlxk.app.server.dialects.dialect import Ask, Opening
from mlxk.app.server.dialects.events import document, named_events
from mlxk.app.server.dialects.messages_answer import MessageProgress
from mlxk.app.server.dialects.messages_body import CountTokensBody, MessagesBody
from mlxk.app.server.dialects.messages_errors import anthropic_error
from mlxk.app.server.dialects.messages_work import counting_work, messages_work
from mlxk.app.server.errors import ErrorBody
from mlxk.domain.generation import Answer, Delta

__all__ = ["CountTokensBody", "MessagesBody", "MessagesRenderer", "counting_work", "read_messages"]


def read_messages(body: MessagesBody) -> Ask:
    """What the client wants, and how it wants to be told.

    Raises:
        InvalidInput: it cannot be meant; `param` names the field.
        MlxkError: (`UNSUPPORTED_MULTIMODAL`) an image or a document.
    """
    return Ask(
        messages_work(body),
        body.stream is True,
        MessagesRenderer(shows_thinking=not _omits_thinking(body)),
    )


def _omits_thinking(body: MessagesBody) -> bool:
    return body.thinking is not None and body.thinking.display == "omitted"


class MessagesRenderer:
    """Renders one message.

    Args:
        shows_thinking: False leaves the text out of thinking blocks.
    """

    def __init__(self, *, shows_thinking: bool = True) -> None:
        self._shows_thinking = shows_thinking
        self._progress: MessageProgress | None = None

    def whole(self, opening: Opening, answers: Sequence[Answer]) -> bytes:
        """The message."""
        progress = self._start(opening)
        for _ in progress.grow(answers[0].deltas):
            pass
        return document(progress.message())

    def begin(self, opening: Opening) -> bytes:
        """`message_start` and a `ping`."""
        return named_events(self._start(opening).begin())

    def deltas(self, batch: Sequence[tuple[int, Delta]]) -> bytes:
        """The events of the next deltas."""
        assert self._progress is not None, "begin comes first"
        return named_events(self._progress.grow([delta for _, delta in batch]))

    def end(self) -> bytes:
        """Nothing: the last delta has ended the message."""
        return b""

    def failure(self, error: ErrorBody) -> bytes:
        """`error`, which the `anthropic` package raises."""
        return named_events([("error", anthropic_error(error))])

    def _start(self, opening: Opening) -> MessageProgress:
        self._progress = MessageProgress(
            message_id=opening.token,
            model=opening.model,
            prompt_tokens=opening.prompt_tokens,
            shows_thinking=self._shows_thinking,
        )
        return self._progress
