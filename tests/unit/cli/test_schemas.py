"""The published schemas are what the result types say; real output is held against them in contract/cli."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlxk.cli.output.envelope import Envelope, error_envelope, plain, success_envelope
from mlxk.cli.output.schemas import schema_of, schemas
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, MlxkError
from tests.json_contract import check_schema, is_valid

PROJECT = Path(__file__).parents[3]
PUBLISHED = PROJECT / "docs" / "schema"


def test_every_schema_is_published_and_no_other() -> None:
    assert sorted(path.stem for path in PUBLISHED.glob("*.json")) == list(schemas()) == sorted(schemas())


@pytest.mark.parametrize("command", schemas())
def test_what_is_published_is_what_the_types_say(command: str) -> None:
    published = json.loads((PUBLISHED / f"{command}.json").read_text(encoding="utf-8"))
    assert published == schema_of(command), "run `make schema`"


def test_make_schema_writes_what_is_published(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tools.write_schemas", str(tmp_path)], cwd=PROJECT, check=True, timeout=60
    )
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in PUBLISHED.iterdir()}
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert "-m tools.write_schemas docs/schema" in makefile


@pytest.mark.parametrize("command", schemas())
def test_a_schema_is_valid_and_wants_exactly_four_keys(command: str) -> None:
    schema = schema_of(command)
    check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    good = plain(error_envelope(command, MlxkError(ErrorKind.INTERNAL, "Oh.")))
    assert isinstance(good, dict)
    assert is_valid(good, schema)
    for key in good:
        assert not is_valid({name: good[name] for name in good if name != key}, schema)
    for wrong in (
        {"more": 1},
        {"command": "other"},
        {"status": "ok"},
        {"error": {"type": "No", "message": ""}},
    ):
        assert not is_valid({**good, **wrong}, schema)


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_fits(kind: ErrorKind) -> None:
    envelope = plain(error_envelope("list", MlxkError(kind, "One sentence.", hint="A way out.")))
    assert is_valid(envelope, schema_of("list"))


def test_what_an_error_does_not_have_is_left_out() -> None:
    bare = plain(error_envelope("show", MlxkError(ErrorKind.VALIDATION, "No.")))
    assert bare == {
        "status": "error",
        "command": "show",
        "data": None,
        "error": {"type": "ValidationError", "message": "No."},
    }
    full = plain(error_envelope("show", AmbiguousMatch("Two.", hint="one of them", matches=["a", "b"])))
    assert isinstance(full, dict)
    assert full["error"] == {
        "type": "ambiguous_match",
        "message": "Two.",
        "hint": "one of them",
        "matches": ["a", "b"],
    }
    retry = plain(error_envelope("show", MlxkError(ErrorKind.NETWORK, "Later.")))
    assert isinstance(retry, dict)
    assert retry["error"]["retryable"] is True


def test_a_success_has_no_error() -> None:
    assert plain(success_envelope("x", {"a": (1, 2.5, None, True)})) == {
        "status": "success",
        "command": "x",
        "data": {"a": [1, 2.5, None, True]},
        "error": None,
    }


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError):
        plain(Envelope("success", "x", object(), None))
