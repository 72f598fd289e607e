"""`mlxk pull`."""

from typing import Annotated

import typer

from mlxk.cli.complete import complete_model
from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, ProgressLines, Quiet, Verbose

__all__ = ["command"]

EXIT_UNCONFIRMED = 1


def command(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="ORG/NAME on the Hub, or a NAME of mlx-community; "
            "with @REVISION for a branch, tag or commit.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ],
    revision: Annotated[
        str | None, typer.Option("--revision", help="A branch, tag or commit.", show_default=False)
    ] = None,
    force_resume: Annotated[
        bool,
        typer.Option(
            "--force-resume", help="Go on with a download that was begun, without asking.", show_default=False
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which files would be fetched.", show_default=False)
    ] = False,
    progress: ProgressLines = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Download a model into the cache: verified, and from where an earlier download stopped."""
    from mlxk.app.pull import PullRequest
    from mlxk.cli.confirm import confirmer_for
    from mlxk.cli.output.progress import progress_for
    from mlxk.cli.output.pull import print_pull

    invocation: Invocation = context.obj
    invocation.begin("pull", json=json, quiet=quiet, verbose=verbose)
    invocation.configure_logs()
    request = PullRequest(model, revision, dry_run=dry_run)
    confirm = confirmer_for(invocation, agreed=force_resume)
    result = invocation.container.pull()(request, progress_for(invocation, lines=progress), confirm)
    invocation.answer(result, print_pull)
    if result.download_status == "requires_confirmation":
        raise typer.Exit(EXIT_UNCONFIRMED)
