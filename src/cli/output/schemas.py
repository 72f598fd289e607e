"""The published JSON Schemas, generated from the result types."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from mlxk.app.clone_answer import CloneResult
from mlxk.app.convert import ConvertResult
from mlxk.app.diff import DiffResult
from mlxk.app.pull import PullResult
from mlxk.app.push import PushResult
from mlxk.app.results import (
    SPEC_VERSION,
    HealthResult,
    ListResult,
    RunResult,
    ServeResult,
    ShowResult,
    VersionResult,
)
from mlxk.app.rm import LocksView, RmResult
from mlxk.cli.output.envelope import Envelope
from mlxk.domain.errors import ErrorKind

__all__ = ["schema_of", "schemas"]

_ENVELOPES: Mapping[str, TypeAdapter[Any]] = {
    "clone": TypeAdapter(Envelope[CloneResult]),
    "convert": TypeAdapter(Envelope[ConvertResult]),
    "diff": TypeAdapter(Envelope[DiffResult]),
    "health": TypeAdapter(Envelope[HealthResult]),
    "list": TypeAdapter(Envelope[ListResult]),
    "pull": TypeAdapter(Envelope[PullResult]),
    "push": TypeAdapter(Envelope[PushResult]),
    "rm": TypeAdapter(Envelope[RmResult | LocksView]),
    "run": TypeAdapter(Envelope[RunResult]),
    "schema": TypeAdapter(Envelope[dict[str, object]]),
    "serve": TypeAdapter(Envelope[ServeResult]),
    "show": TypeAdapter(Envelope[ShowResult]),
    "version": TypeAdapter(Envelope[VersionResult]),
}


def schemas() -> tuple[str, ...]:
    """The names of the commands that have a schema, sorted."""
    return tuple(_ENVELOPES)


def schema_of(command: str) -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of the envelope a command prints.

    Raises:
        KeyError: there is no such command.
    """
    # "validation" mode is what a reader needs: fields with a default may be absent.
    schema = _ENVELOPES[command].json_schema(mode="validation")
    schema["title"] = f"mlxk {command} --json"
    schema["additionalProperties"] = False
    schema["properties"]["command"] = {"const": command}
    schema["$defs"]["ErrorView"]["properties"]["type"]["enum"] = sorted(kind.type for kind in ErrorKind)
    return {"$schema": GenerateJsonSchema.schema_dialect, "version": SPEC_VERSION, **schema}
