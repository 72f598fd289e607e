"""Holding JSON against the published schemas."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]

from mlxk.cli.output.schemas import schema_of, schemas

__all__ = ["ENVELOPE_KEYS", "check_envelope", "check_schema", "is_valid"]

ENVELOPE_KEYS = ["status", "command", "data", "error"]


def check_envelope(envelope: dict[str, Any]) -> None:
    """Exactly four keys, an error or data (or how far it came), and the schema of its command."""
    assert list(envelope) == ENVELOPE_KEYS
    assert (envelope["status"] == "error") == (envelope["error"] is not None)
    assert envelope["data"] is not None or envelope["status"] == "error"
    if envelope["command"] in schemas():
        jsonschema.validate(envelope, schema_of(envelope["command"]))
    else:
        assert (envelope["command"], envelope["status"]) == ("mlxk", "error")


def check_schema(schema: object) -> None:
    """The schema itself is valid."""
    jsonschema.Draft202012Validator.check_schema(schema)


def is_valid(value: object, schema: object) -> bool:
    """Whether a value fits a schema."""
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))
