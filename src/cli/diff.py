"""`mlxk diff`."""

from typing import Annotated

import typer

from mlxk.cli.complete import complete_model
from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, ModelArgument, Quiet, Verbose

__all__ = ["command"]

EXIT_DIFFERENT = 1


def command(
    context: typer.Context,
    first: ModelArgument,
    second: Annotated[
        str,
        typer.Argument(
            metavar="OTHER",
            help="The model to compare it with, given in the same ways.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if anything differs.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare two models: config, tokenizer, chat template, tensors, contents."""
    from mlxk.app.diff import DiffRequest
    from mlxk.cli.output.diff import print_diff
    from mlxk.cli.output.progress import progress_for

    invocation: Invocation = context.obj
    invocation.begin("diff", json=json, quiet=quiet, verbose=verbose)
    result = invocation.container.diff()(DiffRequest(first, second), progress_for(invocation))
    invocation.answer(result, lambda found: print_diff(found, everything=invocation.verbose))
    if check and not result.same:
        raise typer.Exit(EXIT_DIFFERENT)
