"""Arguments and options that several commands share."""

from typing import Annotated

import typer

from mlxk.cli.complete import complete_model

__all__ = ["Json", "ModelArgument", "PatternArgument", "ProgressLines", "Quiet", "Verbose"]

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A name or a part of one, with @REVISION for a branch or commit; or a path (./x, /x, ~/x).",
        autocompletion=complete_model,
        show_default=False,
    ),
]
PatternArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PATTERN",
        help="A part of the name, or the beginning of a path (./x, /x, ~/x).",
        autocompletion=complete_model,
        show_default=False,
    ),
]
ProgressLines = Annotated[
    bool,
    typer.Option(
        "--progress", help="Progress as JSON lines on stderr, with --json or in a pipe.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON envelope on stdout.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notices on stderr.", show_default=False)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="More detail; tracebacks for errors.", show_default=False)
]
