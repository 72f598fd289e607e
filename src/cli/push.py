"""`mlxk push`."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, Quiet, Verbose
from mlxk.domain.errors import InvalidInput

if TYPE_CHECKING:
    from mlxk.app.push import PushMode
    from mlxk.domain.push_plan import Visibility

__all__ = ["command"]

EXIT_UNHEALTHY = 1


def command(
    context: typer.Context,
    folder: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A folder with a model, or a workspace's name.", show_default=False
        ),
    ],
    repo: Annotated[
        str,
        typer.Argument(metavar="ORG/NAME", help="The repository on the Hub.", show_default=False),
    ],
    private: Annotated[
        bool,
        typer.Option(
            "--private", help="A new repository is private; a public one is refused.", show_default=False
        ),
    ] = False,
    public: Annotated[
        bool,
        typer.Option(
            "--public", help="Everyone may have these files; a private one is refused.", show_default=False
        ),
    ] = False,
    create: Annotated[
        bool,
        typer.Option("--create", help="Make the repository or branch if it is missing.", show_default=False),
    ] = False,
    delete: Annotated[
        bool,
        typer.Option(
            "--delete", help="Delete there what the folder lacks, without asking.", show_default=False
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Undo commits that the workspace did not come from.", show_default=False
        ),
    ] = False,
    branch: Annotated[str, typer.Option(metavar="BRANCH", help="The branch to push to.")] = "main",
    commit: Annotated[
        str | None, typer.Option(metavar="MESSAGE", help="The commit's message.", show_default=False)
    ] = None,
    check_only: Annotated[
        bool,
        typer.Option("--check-only", help="Only check the folder, without the network.", show_default=False),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would change on the Hub.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Upload a folder to the Hub, so that a branch holds exactly what the folder holds."""
    from mlxk.app.push import PushRequest
    from mlxk.cli.confirm import confirmer_for
    from mlxk.cli.output.progress import progress_for
    from mlxk.cli.output.push import print_push
    from mlxk.cli.output.terminal import printable

    invocation: Invocation = context.obj
    invocation.begin("push", json=json, quiet=quiet, verbose=verbose)
    request = PushRequest(
        folder=folder,
        repo=repo,
        visibility=_visibility(private=private, public=public),
        mode=_mode(check_only=check_only, dry_run=dry_run),
        create=create,
        branch=branch,
        message=commit,
        overwrite=overwrite,
    )
    invocation.configure_logs()
    if invocation.quiet:  # the Hub's client draws bars of its own
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    result = invocation.container.push()(
        request,
        progress_for(invocation),
        lambda text: invocation.notice(printable(text)),
        confirmer_for(invocation, agreed=delete),
    )
    if check_only:
        for warning in result.warnings:
            invocation.notice(printable(warning))
    invocation.answer(result, print_push)
    if result.workspace_health is not None and not result.workspace_health.healthy:
        raise typer.Exit(EXIT_UNHEALTHY)


def _visibility(*, private: bool, public: bool) -> "Visibility | None":
    from mlxk.domain.push_plan import Visibility

    if private and public:
        raise InvalidInput("--private and --public exclude each other.", hint="say one of them")
    if private:
        return Visibility.PRIVATE
    return Visibility.PUBLIC if public else None


def _mode(*, check_only: bool, dry_run: bool) -> "PushMode":
    from mlxk.app.push import PushMode

    if check_only and dry_run:
        raise InvalidInput("--check-only and --dry-run exclude each other.", hint="say one of them")
    if check_only:
        return PushMode.CHECK_ONLY
    return PushMode.DRY_RUN if dry_run else PushMode.PUSH
