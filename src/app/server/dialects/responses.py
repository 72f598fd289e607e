"""OpenAI's Responses, the stateless part: `POST /v1/responses`.

Source: the API reference of OpenAI and the types of the `openai` package.
"""

from collections.abc import Sequence

from mlxk.app.server.dialects.dialect import Ask, Opening
from mlxk.app.server.dialects.events import document, named_events
from mlxk.app.server.dialects.responses_answer import ResponseProgress
from mlxk.app.server.dialects.responses_body import ResponsesBody
from mlxk.app.server.dialects.responses_work import responses_work
from mlxk.app.server.errors import ErrorBody
from mlxk.domain.generation import Answer, Delta
from mlxk.domain.model import JsonValue

__all__ = ["ResponsesBody", "ResponsesRenderer", "read_responses"]


def read_responses(body: ResponsesBody) -> Ask:
    """What the client wants, and how it wants to be told.

    Raises:
        InvalidInput: it cannot be meant; `param` names the field.
        MlxkError: (`UNSUPPORTED_MULTIMODAL`) an image, a file or audio.
    """
    return Ask(responses_work(body), body.stream is True, ResponsesRenderer(body))


class ResponsesRenderer:
    """Renders one response.

    Args:
        body: what was asked.
    """

    def __init__(self, body: ResponsesBody) -> None:
        self._body = body
        self._progress: ResponseProgress | None = None

    def whole(self, opening: Opening, answers: Sequence[Answer]) -> bytes:
        """The response object."""
        progress = self._start(opening)
        for _ in progress.grow(answers[0].deltas):
            pass
        return document(progress.response())

    def begin(self, opening: Opening) -> bytes:
        """`response.created` and `response.in_progress`."""
        return named_events(self._start(opening).begin())

    def deltas(self, batch: Sequence[tuple[int, Delta]]) -> bytes:
        """The events of the next deltas."""
        return named_events(self._begun.grow([delta for _, delta in batch]))

    def end(self) -> bytes:
        """Nothing: the last delta has completed the response."""
        return b""

    def failure(self, error: ErrorBody) -> bytes:
        """`response.failed`, then `error`, which the `openai` package raises."""
        progress = self._begun
        failed = named_events(progress.fail(error["error"]["message"]))
        return failed + named_events([("error", _error_event(error, progress.next_number()))])

    def _start(self, opening: Opening) -> ResponseProgress:
        self._progress = ResponseProgress(
            self._body, response_id=opening.token, model=opening.model, created=opening.created
        )
        return self._progress

    @property
    def _begun(self) -> ResponseProgress:
        assert self._progress is not None, "begin comes first"
        return self._progress


def _error_event(error: ErrorBody, number: int) -> dict[str, JsonValue]:
    """OpenAI's flat fields, and the shape of every other error here."""
    detail = error["error"]
    flat: dict[str, JsonValue] = {
        "code": detail["code"],
        "message": detail["message"],
        "param": detail["param"],
    }
    nested: dict[str, JsonValue] = {**flat, "type": detail["type"], "retryable": detail["retryable"]}
    return {
        "type": "error",
        **flat,
        "sequence_number": number,
        "status": error["status"],
        "error": nested,
        "request_id": error["request_id"],
    }
