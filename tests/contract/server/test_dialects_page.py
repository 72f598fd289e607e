"""`docs/server-dialects.md` says of Responses and Messages what the code does."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mlxk.app.server.dialects import messages_body, responses_body
from mlxk.app.server.dialects.dialect import Opening, Renderer
from mlxk.app.server.dialects.messages import CountTokensBody, MessagesBody, read_messages
from mlxk.app.server.dialects.messages_documents import AnthropicMessage
from mlxk.app.server.dialects.messages_errors import TYPES
from mlxk.app.server.dialects.responses import ResponsesBody, read_responses
from mlxk.app.server.dialects.responses_documents import ResponseObject
from mlxk.app.server.errors import describe
from mlxk.app.server.http.bodies import parse_body
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.generation import FinishReason, TextDelta, collect
from tests.contract.server.scripts import CALLING, NOTHING, SAYING, THINKING, scripted
from tests.memory_service import MODEL, Script, finish

PAGE = (Path(__file__).parents[3] / "docs/server-dialects.md").read_text()
NAME = re.compile(r"`([^`]+)`")
RESPONSES = PAGE.split("## POST /v1/responses")[1].split("## POST")[0]
MESSAGES = PAGE.split("## POST /v1/messages")[1]
OPENING = Opening("abc", 0, MODEL, 7)
CUT = scripted(TextDelta("x"), finish(FinishReason.LENGTH))


def rows(section: str, head: str) -> dict[str, str]:
    """The names in the first column of a table, each with its second column."""
    table = section.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ", 1) for row in table]
    return {name: meaning for names, meaning in cells for name in NAME.findall(names)}


def without_effect(section: str) -> set[str]:
    sentence = section.split("Without effect: ")[1].split(".\n")[0].split(". ")[0]
    return set(NAME.findall(re.sub(r"\([^)]*\)", "", sentence)))


def types_of(union: Any) -> set[str]:
    """The `type` values of a union of bodies."""
    members = [member.__origin__ for member in union.__origin__.__args__]
    found = [member.model_fields["type"].annotation.__args__ for member in members]
    return {name for names in found for name in names}


def events_of(renderer: Renderer, script: Script, *, fails: bool = False) -> set[str]:
    deltas: Sequence[Any] = script(None)  # type: ignore[arg-type]
    stream = renderer.begin(OPENING)
    if fails:
        stream += renderer.failure(describe(MlxkError(ErrorKind.RUNTIME_LOST, "Gone."), None, str))
    else:
        stream += renderer.deltas(deltas) + renderer.end()
    return set(re.findall(r"^event: (.+)$", stream.decode(), re.MULTILINE))


@pytest.mark.parametrize(
    ("section", "body", "harmless"),
    [
        (RESPONSES, ResponsesBody, responses_body.HARMLESS),
        (MESSAGES, MessagesBody, messages_body.HARMLESS),
    ],
    ids=["responses", "messages"],
)
def test_every_field_has_its_line(section: str, body: type[BaseModel], harmless: Sequence[str]) -> None:
    assert set(rows(section, "field")) == set(body.model_fields) - set(harmless)
    assert without_effect(section) == set(harmless)


def test_every_item_has_its_line() -> None:
    assert set(rows(RESPONSES, "item")) == types_of(responses_body.InputItem)


def test_every_block_has_its_line() -> None:
    media = {"image", "document"}
    assert set(rows(MESSAGES, "block")) == types_of(messages_body.ContentBlock) - media


def test_every_event_of_responses_has_its_line() -> None:
    body = parse_body(b'{"model": "m", "input": "x"}', ResponsesBody)
    told = set[str]()
    for script in (THINKING, CALLING, CUT):
        told |= events_of(read_responses(body).renderer, script)
    told |= events_of(read_responses(body).renderer, CUT, fails=True)
    assert set(rows(RESPONSES, "event")) == told


def test_every_event_of_messages_has_its_line() -> None:
    raw = b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}'
    body = parse_body(raw, MessagesBody)
    told = set[str]()
    for script in (THINKING, CALLING):
        told |= events_of(read_messages(body).renderer, script)
    told |= events_of(read_messages(body).renderer, CUT, fails=True)
    assert set(rows(MESSAGES, "event")) == told


def test_every_error_type_has_its_line() -> None:
    table = rows(MESSAGES, "`error.type`")
    assert table.pop("api_error") == "every other"
    named = {code: name for name, codes in table.items() for code in NAME.findall(codes)}
    assert named == TYPES
    assert set(TYPES) <= {kind.name.lower() for kind in ErrorKind}


def test_counting_takes_the_fields_it_names() -> None:
    sentence = MESSAGES.split("count_tokens` takes ")[1].split(", and answers")[0]
    harmless = {"cache_control", "user_profile_id"}
    assert set(NAME.findall(sentence)) == set(CountTokensBody.model_fields) - harmless


@pytest.mark.parametrize("script", [SAYING, THINKING, CALLING, CUT, NOTHING])
def test_answers_are_what_the_api_document_says(script: Script) -> None:
    deltas: Sequence[Any] = [delta for _, delta in script(None)]  # type: ignore[arg-type]
    responses = parse_body(b'{"model": "m", "input": "x", "top_logprobs": 1}', ResponsesBody)
    ResponseObject.model_validate_json(read_responses(responses).renderer.whole(OPENING, [collect(deltas)]))
    raw = b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}'
    messages = parse_body(raw, MessagesBody)
    AnthropicMessage.model_validate_json(read_messages(messages).renderer.whole(OPENING, [collect(deltas)]))
