"""The Typer program: its common flags and its commands."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, Quiet, Verbose
from mlxk.cli.plain_parameters import PlainCommand, PlainGroup
from mlxk.domain.errors import Interrupted

__all__ = ["COMMANDS", "UsageMistake", "command_of", "program", "show_mistake"]

UsageMistake = typer.TyperException
EXIT_INTERRUPTED = 130

COMMANDS: Mapping[str, str] = {
    "list": "list_models",
    "show": "show",
    "health": "health",
    "pull": "pull",
    "rm": "rm",
    "run": "run",
    "serve": "serve",
    "clone": "clone",
    "convert": "convert",
    "diff": "diff",
    "push": "push",
    "schema": "schema",
}
"""Commands in the order of `--help`, and the module of this package that has each."""

ALIASES: Mapping[str, str] = {"server": "serve"}
"""Other names of commands, which `--help` does not list."""


def show_mistake(mistake: UsageMistake) -> None:
    """Print a usage mistake as Typer words it, on stderr."""
    # Typer's exceptions bring their own `show`; the public base class just does not declare it.
    mistake.show()  # type: ignore[attr-defined]


def command_of(mistake: UsageMistake) -> str:
    """The name of the command that a usage mistake was made in."""
    context: typer.Context | None = getattr(mistake, "ctx", None)
    return (context.info_name if context else None) or "mlxk"


def program(arguments: list[str], invocation: Invocation) -> int:
    """Run the program.

    Returns:
        The exit code.

    Raises:
        UsageMistake: the arguments do not fit.
        MlxkError: the command failed.
    """
    command = typer.main.get_command(_app(_needed(arguments)))
    outcome = command.main(arguments, prog_name="mlxk", standalone_mode=False, obj=invocation)
    if outcome == EXIT_INTERRUPTED:
        raise Interrupted
    return outcome if isinstance(outcome, int) else 0


def _needed(arguments: list[str]) -> Sequence[str]:
    """The one command that is called, or all where help, completion or a mistake may name any."""
    first = next((word for word in arguments if not word.startswith("-")), "")
    first = ALIASES.get(first, first)
    return [first] if first in COMMANDS else list(COMMANDS)


def _app(commands: Sequence[str]) -> typer.Typer:
    """The program with some of its commands; loading and building each takes a while."""
    app = typer.Typer(
        name="mlxk",
        cls=PlainGroup,
        help="Manage and run MLX models on your own machine.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_common)
    for name in commands:
        app.command(name, cls=PlainCommand)(import_module(f"mlxk.cli.{COMMANDS[name]}").command)
    for alias, name in ALIASES.items():
        if name in commands:
            app.command(alias, cls=PlainCommand, hidden=True)(
                import_module(f"mlxk.cli.{COMMANDS[name]}").command
            )
    return app


def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    invocation: Invocation = context.obj
    invocation.begin("version" if version else "mlxk", json=json, quiet=quiet, verbose=verbose)
    if version:
        from mlxk.cli.version import print_version_of_this_program

        print_version_of_this_program(invocation)
        raise typer.Exit
    if context.invoked_subcommand is None:
        context.fail("A command is missing.")
