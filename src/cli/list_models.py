"""`mlxk list`."""

from typing import TYPE_CHECKING, Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, PatternArgument, Quiet, Verbose

if TYPE_CHECKING:
    from mlxk.app.results import ListResult

__all__ = ["command"]


def command(
    context: typer.Context,
    pattern: PatternArgument = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", "-a", help="Every framework and state, not only what runs here.", show_default=False
        ),
    ] = False,
    health: Annotated[
        bool, typer.Option("--health", help="Add what is wrong, if anything.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List the models in the cache and in workspaces."""
    invocation: Invocation = context.obj
    invocation.begin("list", json=json, quiet=quiet, verbose=verbose)

    def render(result: "ListResult") -> None:
        from mlxk.cli.output.human import ListLayout, print_models

        layout = ListLayout(everything=everything, health=health, verbose=invocation.verbose)
        hidden = print_models(result, layout)
        if not result.count:
            invocation.notice(f"No model matches '{pattern}'." if pattern else "No models here.")
        elif hidden:
            invocation.notice(
                f"{hidden} more that do not run here; --all shows them, --all --health says why."
            )

    invocation.answer(invocation.container.list_models()(pattern), render)
