"""One run of the program: what the flags say, and the container, built only when a command needs it."""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlxk.cli.output.envelope import error_envelope, success_envelope, write_json
from mlxk.cli.output.terminal import printable
from mlxk.domain.errors import MlxkError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from mlxk.app.container import Container
    from mlxk.app.settings import Settings

    Result = TypeVar("Result")

__all__ = ["Invocation"]


@dataclass
class Invocation:
    """What the common flags say, before and after the command's name together.

    Attributes:
        command: the command's name once it is known, for the envelope.
        json: one envelope on stdout and nothing else there.
        quiet: no notices on stderr.
        verbose: more detail, and tracebacks for errors.
    """

    command: str = "mlxk"
    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def begin(self, command: str, *, json: bool, quiet: bool, verbose: bool) -> None:
        """A command starts, with its own spelling of the common flags."""
        self.command = command
        self.json = self.json or json
        self.quiet = self.quiet or quiet
        self.verbose = self.verbose or verbose

    @cached_property
    def container(self) -> "Container":
        """The container of this process."""
        from mlxk.app.container import container_for

        return container_for(os.environ)

    def configure_logs(self, settings: "Settings | None" = None, secrets: tuple[str, ...] = ()) -> None:
        """Set up logging, before a command loads libraries that log.

        Args:
            settings: what flags have made of the settings; those of the environment when None.
            secrets: texts that no line may show, besides those of the environment.
        """
        from mlxk.app.logs import configure, redactor_for

        configure(settings or self.container.settings(), redactor_for(os.environ, *secrets))

    def answer(self, result: "Result", render: "Callable[[Result], object]") -> None:
        """Print a result: as the envelope, or for people."""
        if self.json:
            write_json(success_envelope(self.command, result))
        else:
            render(result)
            sys.stdout.flush()

    def notice(self, text: str) -> None:
        """Tell people something on stderr."""
        if not self.quiet:
            sys.stderr.write(f"{text}\n")

    def fail(self, error: MlxkError) -> int:
        """Report an error, and return the exit code it means."""
        sys.stderr.write(f"Error: {printable(error.message)}\n")
        for match in error.matches:
            sys.stderr.write(f"  {printable(match)}\n")
        if error.hint:
            sys.stderr.write(f"Hint: {printable(error.hint)}\n")
        if self.json:
            write_json(error_envelope(self.command, error))
        return error.kind.exit_code
