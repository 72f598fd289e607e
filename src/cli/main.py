"""The edge: where the process starts, and where every error, signal and closed pipe ends."""

import gc
import os
import signal
import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlxk.cli.invocation import Invocation
    from mlxk.domain.errors import MlxkError

__all__ = ["main", "run_main", "run_program"]

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 1
"""As click and most Unix tools in Python: the reader left, nobody is there to be told."""

FEWER_COLLECTIONS = 50_000
"""Allocations between two passes of the garbage collector. Documents are parsed into many small objects that
live for a moment; at Python's default of 700 a tenth of a long listing went into looking at them."""

_interruptions: list[int] = []
"""The SIGINTs of this process so far."""


def main() -> None:
    """The `mlxk` script."""
    _listen_for_interruptions()
    _start_fast()
    sys.exit(run_program(sys.argv[1:]))


def run_main() -> None:
    """The `mlxk-run` script: the same as `mlxk run`."""
    _listen_for_interruptions()
    _start_fast()
    sys.exit(run_program(["run", *sys.argv[1:]]))


def _start_fast() -> None:
    """Settings of this process that only cost time otherwise."""
    gc.set_threshold(FEWER_COLLECTIONS)
    # Typer loads pydantic, which would look through all installed distributions for plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")


def _listen_for_interruptions() -> None:
    """Remember Ctrl-C: a library may turn the `KeyboardInterrupt` into an error of its own.

    numpy does, when it comes while its C modules are imported: it prints the traceback through
    `sys.excepthook` and raises an `ImportError`.
    """
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):  # not where a shell told us to ignore it
        signal.signal(signal.SIGINT, _interrupt)
        sys.excepthook = _print_unless_interrupted
        sys.unraisablehook = _deliver_again


def _interrupt(number: int, _frame: FrameType | None) -> None:
    _interruptions.append(number)
    raise KeyboardInterrupt


def _print_unless_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def _deliver_again(lost: "sys.UnraisableHookArgs") -> None:
    """A Ctrl-C that came inside a finalizer, where nothing can be raised, comes again right after it."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
    elif not sys.is_finalizing():
        import _thread
        import threading

        threading.Timer(0.01, _thread.interrupt_main).start()


def run_program(arguments: list[str]) -> int:
    """Run mlxk with some arguments; nothing but the exit code comes out of it, whatever happens."""
    try:
        # Imported here, so that Ctrl-C during the imports ends as quietly as later.
        from mlxk.cli.invocation import Invocation

        invocation = Invocation()
        return _run(arguments, invocation)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        return EXIT_BROKEN_PIPE


def _run(arguments: list[str], invocation: "Invocation") -> int:
    from mlxk.domain.errors import ErrorKind, MlxkError

    _open_missing_streams()
    _tolerate_any_text()
    try:
        code = _dispatch(arguments, invocation)
        sys.stdout.flush()
    except MlxkError as error:
        return _fail(error, invocation)
    except KeyboardInterrupt:
        from mlxk.domain.errors import Interrupted

        return _fail(Interrupted(), invocation)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename else ""
        refused = MlxkError(ErrorKind.PERMISSION, f"The system refused: {reason}{where}.")
        refused.__cause__ = error
        return _fail(refused, invocation)
    except Exception as error:  # noqa: BLE001 - the edge: nothing may reach the user as a traceback
        message = f"Something unexpected went wrong: {type(error).__name__}: {error}"
        hint = "run it again with --verbose and report what it prints"
        unexpected = MlxkError(ErrorKind.INTERNAL, message, hint=hint)
        unexpected.__cause__ = error
        return _fail(unexpected, invocation)
    return code


def _dispatch(arguments: list[str], invocation: "Invocation") -> int:
    """Run the command; usage mistakes become Typer's message and 2, or an envelope with --json."""
    if "--version" in arguments and set(arguments) <= {"--version", "--json"}:
        return _version(invocation, json="--json" in arguments)
    from mlxk.cli.program import UsageMistake, command_of, program, show_mistake

    try:
        outcome = program(arguments, invocation)
    except UsageMistake as mistake:
        if _wants_json(arguments):
            invocation.command = command_of(mistake)
            _fail_as_json(mistake.format_message(), invocation)
        else:
            show_mistake(mistake)
        return mistake.exit_code
    return outcome


def _version(invocation: "Invocation", *, json: bool) -> int:
    """Answer at once: Typer alone takes three times as long to load as everything else here."""
    from mlxk.cli.version import print_version_of_this_program

    invocation.begin("version", json=json, quiet=False, verbose=False)
    print_version_of_this_program(invocation)
    return 0


def _fail_as_json(message: str, invocation: "Invocation") -> None:
    from mlxk.domain.errors import InvalidInput

    invocation.json = True
    invocation.fail(InvalidInput(message, hint="see `mlxk --help`"))


def _wants_json(arguments: list[str]) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _fail(error: "MlxkError", invocation: "Invocation") -> int:
    if _interruptions and error.kind.exit_code != EXIT_INTERRUPTED:  # what failed, failed because of it
        from mlxk.domain.errors import ErrorKind, MlxkError

        error = MlxkError(ErrorKind.USER_CANCELLED, "Interrupted.", hint=error.hint, data=error.data)
    if invocation.verbose and error.__cause__ is not None:
        _write_traceback(error)
    try:
        code = invocation.fail(error)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:  # stdout takes nothing any more (a full disk); people were told on stderr
        _discard_stdout()
        return error.kind.exit_code
    return code


def _write_traceback(error: BaseException) -> None:
    import traceback

    from mlxk.app.logs import redactor_for

    redact = redactor_for(os.environ)
    sys.stderr.write(redact("".join(traceback.format_exception(error))))


def _open_missing_streams() -> None:
    """A stream that was closed from the start (`>&-`) becomes an empty one.

    Else the next file to be opened would take its number, and libraries would take that file for a stream.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - for the life of the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _tolerate_any_text() -> None:
    """Undecodable file names and narrow locales must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _discard_stdout() -> None:
    """Point stdout at nothing, so that Python's own flush at exit finds no closed pipe."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
