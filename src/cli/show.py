"""`mlxk show`."""

from typing import Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, ModelArgument, Quiet, Verbose

__all__ = ["command"]


def command(
    context: typer.Context,
    model: ModelArgument,
    files: Annotated[
        bool, typer.Option("--files", help="Add the list of files.", show_default=False)
    ] = False,
    config: Annotated[bool, typer.Option("--config", help="Add config.json.", show_default=False)] = False,
    recalc_hash: Annotated[
        bool,
        typer.Option("--recalc-hash", help="Record what a workspace holds now as clean.", show_default=False),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show one model: what it is, whether it is whole, whether it runs here."""
    from mlxk.app.show import ShowRequest
    from mlxk.cli.output.human import print_show

    invocation: Invocation = context.obj
    invocation.begin("show", json=json, quiet=quiet, verbose=verbose)
    request = ShowRequest(model, files=files, config=config, recalc_hash=recalc_hash)
    result = invocation.container.show()(request)
    invocation.answer(result, print_show)
