"""`mlxk health`."""

from typing import Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, PatternArgument, ProgressLines, Quiet, Verbose

__all__ = ["command"]

EXIT_UNHEALTHY = 1


def command(
    context: typer.Context,
    pattern: PatternArgument = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Also hash every file against its digest; done files are remembered.",
            show_default=False,
        ),
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Fetch the damaged files of cached models again; verifies those that PATTERN names.",
            show_default=False,
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if any model is unhealthy.", show_default=False)
    ] = False,
    progress: ProgressLines = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check whether the files of some or all models are whole."""
    from mlxk.app.health import HealthRequest
    from mlxk.cli.output.human import print_health
    from mlxk.cli.output.progress import progress_for

    invocation: Invocation = context.obj
    invocation.begin("health", json=json, quiet=quiet, verbose=verbose)
    request, shown = HealthRequest(pattern, verify=verify), progress_for(invocation, lines=progress)
    if fix:
        invocation.configure_logs()
        result = invocation.container.fix()(request, shown)
    else:
        result = invocation.container.check_health()(request, shown)
    invocation.answer(result, lambda found: print_health(found, verbose=invocation.verbose))
    if (check or fix) and result.summary.unhealthy_count:
        raise typer.Exit(EXIT_UNHEALTHY)
