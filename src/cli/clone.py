"""`mlxk clone`."""

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
            help="A name or part of one, an id of the Hub, with @REVISION for a branch or commit, or a path.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A path; or a bare name, in the workspace home. Called like the model unless given.",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            "--branch",
            metavar="REVISION",
            help="A branch, tag or commit; the Hub's current main unless given.",
            show_default=False,
        ),
    ] = None,
    no_health_check: Annotated[
        bool, typer.Option("--no-health-check", help="Do not say how healthy it is.", show_default=False)
    ] = False,
    force_resume: Annotated[
        bool,
        typer.Option(
            "--force-resume",
            help="Repair what an earlier try downloaded, even if it is unhealthy.",
            show_default=False,
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make an editable workspace from a model, copy-on-write where the disk allows it."""
    from mlxk.app.clone import CloneRequest
    from mlxk.cli.output.clone import print_clone
    from mlxk.cli.output.progress import progress_for

    invocation: Invocation = context.obj
    invocation.begin("clone", json=json, quiet=quiet, verbose=verbose)
    request = CloneRequest(
        model,
        target,
        revision,
        health_check=not no_health_check,
        force_resume=force_resume,
        dry_run=dry_run,
    )
    result = invocation.container.clone()(request, progress_for(invocation))
    invocation.answer(result, print_clone)
