"""`mlxk rm`."""

from typing import Annotated

import typer

from mlxk.cli.complete import complete_model
from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, Quiet, Verbose

__all__ = ["command"]


def command(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="ORG/NAME, or a NAME of mlx-community; with @REVISION for one revision only.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ],
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.", show_default=False)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delete a model, or one revision of it, from the cache."""
    from mlxk.app.rm import RmRequest
    from mlxk.cli.confirm import confirmer_for
    from mlxk.cli.output.rm import print_rm

    invocation: Invocation = context.obj
    invocation.begin("rm", json=json, quiet=quiet, verbose=verbose)
    request = RmRequest(model, dry_run=dry_run, force=force)
    result = invocation.container.rm()(request, confirmer_for(invocation, agreed=False))
    invocation.answer(result, print_rm)
