"""`mlxk schema`."""

from typing import Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, Quiet, Verbose
from mlxk.cli.output.envelope import write_json
from mlxk.domain.errors import InvalidInput

__all__ = ["command"]


def command(
    context: typer.Context,
    command: Annotated[
        str | None,
        typer.Argument(metavar="COMMAND", help="One command; all of them without it.", show_default=False),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print the JSON Schema of what a command prints with --json."""
    from mlxk.cli.output.schemas import schema_of, schemas

    invocation: Invocation = context.obj
    invocation.begin("schema", json=json, quiet=quiet, verbose=verbose)
    known = schemas()
    if command is None:
        found: object = {name: schema_of(name) for name in known}
    elif command in known:
        found = schema_of(command)
    else:
        raise InvalidInput(
            f"There is no command '{command}' with a schema.", hint=f"one of {', '.join(known)}"
        )
    invocation.answer(found, write_json)
