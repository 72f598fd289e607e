"""A model's answer on the screen: streamed piece by piece, or whole.

In a pipe only the answer itself is printed. On a terminal reasoning is shown before it, dimmed.
"""

import sys
from shutil import get_terminal_size
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlxk.app.results import RunResult
from mlxk.cli.output.terminal import is_styled, printable, safe_for
from mlxk.domain.generation import Delta, Finish, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta

if TYPE_CHECKING:
    from mlxk.cli.invocation import Invocation

__all__ = ["SilentAnswer", "StreamedAnswer", "print_answer"]

DIM = "\x1b[2m"
PLAIN = "\x1b[0m"
CLEAR_LINE = "\r\x1b[2K"


class _Ending:
    """What is to be said when an answer is over, whichever way it was shown."""

    def __init__(self, invocation: "Invocation") -> None:
        self._invocation = invocation
        self._answered = False
        self._reasoned = False

    def heard(self, delta: Delta) -> None:
        """Note a piece; after the last one, say what a person could not see."""
        match delta:
            case TextDelta() | ToolCallDelta():
                self._answered = True
            case ReasoningDelta():
                self._reasoned = True
            case Finish(reason=reason, usage=usage):
                if reason is FinishReason.LENGTH:
                    self._invocation.notice(f"Stopped at the limit of {usage.completion_tokens} tokens.")
                if self._reasoned and not self._answered:
                    self._invocation.notice("The model only reasoned; it gave no answer.")


class SilentAnswer:
    """Hears an answer without showing it; notices still reach the user."""

    def __init__(self, invocation: "Invocation") -> None:
        self._invocation = invocation
        self._ending = _Ending(invocation)

    def notice(self, text: str) -> None:
        """Pass a notice on."""
        self._invocation.notice(text)

    def loading(self, name: str) -> None:
        """Loading shows nothing."""

    def delta(self, delta: Delta) -> None:
        """Pieces show nothing; with --json their end is in the envelope."""
        if not self._invocation.json:
            self._ending.heard(delta)


class StreamedAnswer:
    """Prints an answer as it comes, and leaves the terminal as it was, however the answer ends.

    Args:
        reasoning: whether a terminal shows the model's reasoning.
    """

    def __init__(self, invocation: "Invocation", *, reasoning: bool) -> None:
        self._invocation = invocation
        self._shows_reasoning = reasoning and sys.stdout.isatty()
        self._dims = is_styled(sys.stdout)
        self._says_loading = is_styled(sys.stderr) and not invocation.quiet
        self._ending = _Ending(invocation)
        self._thinking = False
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_loading()
        if kind is not None and issubclass(kind, BrokenPipeError):
            return
        self._end_thinking()
        self._end_line()

    def notice(self, text: str) -> None:
        """Pass a notice on."""
        self._end_loading()
        self._invocation.notice(text)

    def loading(self, name: str) -> None:
        """Say so on the line that the answer will take."""
        if self._says_loading:
            room = get_terminal_size().columns - 1  # a longer line would wrap, and not be cleared as one
            sys.stderr.write(f"Loading {printable(name)} …"[:room])
            sys.stderr.flush()

    def delta(self, delta: Delta) -> None:
        """Print the next piece."""
        self._end_loading()
        match delta:
            case TextDelta(text):
                self._end_thinking()
                self._write(text)
            case ReasoningDelta(text):
                self._think(text)
            case ToolCallDelta(call=call):
                self._end_thinking()
                self._end_line()
                self._write(f"{call.name}({call.arguments})\n")
            case Finish():
                self._end_thinking()
                self._end_line()
        self._ending.heard(delta)

    def _think(self, text: str) -> None:
        if not self._shows_reasoning:
            return
        if not self._thinking:
            self._thinking = True
            self._style(DIM)
        self._write(text)

    def _end_thinking(self) -> None:
        if self._thinking:
            self._thinking = False
            self._style(PLAIN)
            self._end_line()
            self._write("\n")

    def _end_loading(self) -> None:
        if self._says_loading:
            self._says_loading = False
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()

    def _end_line(self) -> None:
        if self._last and not self._last.endswith("\n"):
            self._write("\n")

    def _style(self, code: str) -> None:
        if self._dims:
            sys.stdout.write(code)

    def _write(self, text: str) -> None:
        self._last = text  # before it is written, since Ctrl-C may come in between
        sys.stdout.write(safe_for(sys.stdout, text))
        sys.stdout.flush()


def print_answer(result: RunResult, *, reasoning: bool) -> None:
    """Print a whole answer; on a terminal with the reasoning before it, if there is any."""
    if reasoning and result.reasoning and sys.stdout.isatty():
        dim, plain = (DIM, PLAIN) if is_styled(sys.stdout) else ("", "")
        sys.stdout.write(f"{dim}{safe_for(sys.stdout, result.reasoning).rstrip()}{plain}\n\n")
    sys.stdout.write(safe_for(sys.stdout, result.response))
    if not result.response.endswith("\n"):
        sys.stdout.write("\n")
