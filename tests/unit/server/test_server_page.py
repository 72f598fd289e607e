"""docs/server.md names what the server has: endpoints, fields, statuses."""

import re
from pathlib import Path

from fastapi.openapi.utils import get_openapi

from mlxk.app.server.dialects.chat_body import HARMLESS, ChatBody, ChatMessage
from mlxk.app.server.dialects.completion_body import CompletionBody
from mlxk.app.server.dialects.fields import MAX_MESSAGES, MAX_TOOLS, SERVER_SAMPLING
from mlxk.app.server.http.application import create_application
from mlxk.app.server.http.documents import GENERATION_ERRORS
from tests.memory_service import MemoryService

PAGE = (Path(__file__).parents[3] / "docs/server.md").read_text()
FIELD_LINE = re.compile(r"^\| `(\w+)` \| (both|chat|completions) \|", re.MULTILINE)


def test_every_endpoint_has_its_line() -> None:
    routes = create_application(MemoryService()).routes
    paths = get_openapi(title="", version="", routes=routes)["paths"]
    assert paths
    for path, operations in paths.items():
        for method in operations:
            assert f"| `{method.upper()} {path.replace('model_id', 'id')}` |" in PAGE


def test_every_field_has_its_line_and_every_line_its_field() -> None:
    lines = dict(FIELD_LINE.findall(PAGE))
    chat = set(ChatBody.model_fields) - set(HARMLESS)
    completions = set(CompletionBody.model_fields) - set(HARMLESS)
    assert {field for field, where in lines.items() if where in ("both", "chat")} == chat
    assert {field for field, where in lines.items() if where in ("both", "completions")} == completions


def test_what_has_no_effect_is_named() -> None:
    paragraph = PAGE[PAGE.index("have no effect, as") : PAGE.index("## Answers")]
    named = set(re.findall(r"`(\w+)`", paragraph))
    assert named == set(HARMLESS) | set(ChatMessage.IGNORED)


def test_statuses_and_numbers_are_ours() -> None:
    assert [status for status in GENERATION_ERRORS if f"| {status} |" not in PAGE] == []
    assert f"1 to {MAX_MESSAGES:,} messages" in PAGE
    assert f"up to {MAX_TOOLS} functions" in PAGE
    assert f"{SERVER_SAMPLING.temperature} if not said" in PAGE
    assert f"{SERVER_SAMPLING.top_p} if not said" in PAGE
