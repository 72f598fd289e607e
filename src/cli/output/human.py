"""Human output: tables and paragraphs, in colour only where a terminal shows it."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlxk.app.results import (
    FindingEntry,
    HealthDetails,
    HealthResult,
    ListResult,
    ModelView,
    ShowResult,
    VersionResult,
)
from mlxk.cli.output.envelope import plain
from mlxk.cli.output.terminal import is_styled, printable
from mlxk.domain.naming import DEFAULT_ORG
from mlxk.domain.sizes import human_size

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ListLayout", "print_health", "print_models", "print_show", "print_version"]

HASH_DIGITS = 7
FEW_FINDINGS = 3
FOLDED = frozenset({"Name", "Health", "Reason"})
"""Columns that fold into several lines where a terminal is too narrow, down to `NARROWEST` characters."""
NARROWEST = 24
PIPE_WIDTH = 100_000
"""Columns assumed when stdout is no terminal, so that nothing is cut or wrapped in a pipe."""


def _print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[str] = frozenset()
) -> None:
    """A table without lines. Names and reasons fold where a terminal is too narrow, other columns stay whole.

    Where not even those fit, lines are longer than the terminal is wide, so that nothing is ever cut.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    least = 0
    for position, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        widest = max([len(heading), *(len(row[position]) for row in cells)])
        whole = heading not in FOLDED or widest <= NARROWEST
        least += (widest if whole else NARROWEST) + 2
        table.add_column(heading, justify=justify, no_wrap=whole, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console = _console(least)
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _console(least: int) -> "Console":
    """A console for stdout: as wide as the terminal, but at least some columns wide."""
    from rich.console import Console

    console = Console(
        highlight=False,
        markup=False,
        emoji=False,
        color_system="auto" if is_styled(sys.stdout) else None,
    )
    width = max(console.width, least) if sys.stdout.isatty() else PIPE_WIDTH
    console.size = (width, console.height)
    return console


def _print_fields(pairs: Iterable[tuple[str, str | None]]) -> None:
    """Aligned `name  value` lines; fields without a value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        sys.stdout.write(f"  {name:<{width}}  {printable(value)}\n")


# list


@dataclass(frozen=True, slots=True)
class ListLayout:
    """What the table of models shows.

    Attributes:
        everything: every framework and state, not only models that run here.
        health: with columns on health.
        verbose: full names, framework, clean state, and health in three columns.
    """

    everything: bool = False
    health: bool = False
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    cell: Callable[[ModelView], str]


def print_models(result: ListResult, layout: ListLayout) -> int:
    """Print the table of models.

    Returns:
        How many models are left out because they do not run here.
    """
    shown = [model for model in result.models if layout.everything or model.usable]
    columns = _columns(layout)
    if shown:
        rows = ([column.cell(model) for column in columns] for model in shown)
        _print_table([column.heading for column in columns], rows, right=frozenset({"Size"}))
    if layout.health and sys.stdout.isatty():
        _print_reasons(shown)
    return len(result.models) - len(shown)


def _columns(layout: ListLayout) -> list[_Column]:
    columns = [
        _Column("Name", _full_name if layout.verbose else _short_name),
        _Column("Hash", lambda model: (model.hash or "-")[:HASH_DIGITS]),
        _Column("Size", lambda model: human_size(model.size_bytes)),
        _Column("Modified", lambda model: model.last_modified[:10]),
        _Column("Src", _source),
        _Column("Type", _type),
    ]
    if layout.verbose:
        columns += [_Column("Framework", lambda model: model.framework), _Column("Clean", _clean)]
    if layout.health and layout.verbose:
        columns += [
            _Column("Integrity", lambda model: model.health),
            _Column("Runtime", lambda model: "yes" if model.runtime_compatible else "no"),
        ]
    elif layout.health:
        columns.append(_Column("Health", _health))
    if layout.health and not sys.stdout.isatty():
        columns.append(_Column("Reason", lambda model: model.reason or "-"))
    return columns


def _print_reasons(models: Sequence[ModelView]) -> None:
    """On a terminal reasons stand below the table, which they would make too wide."""
    explained = [model for model in models if model.reason]
    if explained:
        sys.stdout.write("\n")
    for model in explained:
        sys.stdout.write(f"{printable(_short_name(model))}: {printable(model.reason or '')}\n")


def _full_name(model: ModelView) -> str:
    return model.display_name or model.name


def _short_name(model: ModelView) -> str:
    """The shortest name that still finds the model: without the default organisation or parent folders."""
    if model.display_name:
        return model.display_name
    if model.source == "workspace":
        return model.name.rpartition("/")[2]
    return model.name.removeprefix(f"{DEFAULT_ORG}/")


def _source(model: ModelView) -> str:
    if model.source != "workspace":
        return model.source
    return {True: "ws", False: "ws*", None: "ws?"}[model.clean]


def _type(model: ModelView) -> str:
    extras = [name for name in ("vision", "audio") if name in model.capabilities and name != model.model_type]
    return "+".join([model.model_type, *extras])


def _clean(model: ModelView) -> str:
    if model.source != "workspace":
        return "-"
    return {True: "clean", False: "modified", None: "unknown"}[model.clean]


def _health(model: ModelView) -> str:
    if model.health == "unhealthy" or model.runtime_compatible:
        return model.health
    return "does not run"


# show


def print_show(result: ShowResult) -> None:
    """Print one model's page."""
    model, metadata = result.model, result.metadata
    sys.stdout.write(f"{printable(_full_name(model))}\n")
    _print_fields(
        [
            ("Path", result.path),
            ("Commit", model.hash),
            ("Size", f"{human_size(model.size_bytes)} ({model.size_bytes:,} bytes)"),
            ("Modified", model.last_modified),
            ("Framework", model.framework),
            ("Type", _type(model)),
            ("Capabilities", ", ".join(model.capabilities)),
            ("Family", metadata.model_type if metadata else None),
            ("Context", f"{model.context_length:,} tokens" if model.context_length else "unknown"),
            ("Quantization", _quantization(model)),
            ("Health", model.health if model.health == "healthy" else f"unhealthy: {model.reason}"),
            ("Runs here", _runs(model)),
            ("Origin", model.origin),
            ("State", _clean(model) if model.source == "workspace" else None),
        ]
    )
    if result.findings:
        sys.stdout.write("\nFindings\n")
        _print_findings(result.findings)
    if result.files is not None:
        sys.stdout.write("\nFiles\n")
        rows = ([file.name, file.size, file.type] for file in result.files)
        _print_table(["Name", "Size", "Type"], rows, right=frozenset({"Size"}))
    if result.config is not None:
        sys.stdout.write("\nconfig.json\n")
        text = json.dumps(plain(result.config), indent=2, ensure_ascii=False)
        sys.stdout.write("".join(f"{printable(line)}\n" for line in text.splitlines()))


def _quantization(model: ModelView) -> str | None:
    if model.quantization is None:
        return None
    group = model.quantization.group_size
    return f"{model.quantization.bits} bits" + (f", group size {group}" if group else "")


def _runs(model: ModelView) -> str:
    if model.runtime_compatible:
        return "yes"
    return "no" if model.health == "unhealthy" else f"no: {model.reason}"


def _print_findings(findings: Sequence[FindingEntry]) -> None:
    for finding in findings:
        label = "" if finding.severity == "error" else "warning: "
        sys.stdout.write(f"  {label}{printable(finding.message)}\n    {finding.remedy} [{finding.code}]\n")


# health


def print_health(result: HealthResult, *, verbose: bool) -> None:
    """Print a line per healthy model, then the others with what is wrong and what helps, then the count.

    Args:
        verbose: all findings of a model instead of the first few, and warnings of healthy ones.
    """
    details = {entry.name: entry for entry in result.details}
    for model in result.healthy:
        sys.stdout.write(
            f"healthy    {printable(model.display_name or model.name)}{_verified(details[model.name])}\n"
        )
        if verbose:
            _print_findings(details[model.name].findings)
    for model in result.unhealthy:
        findings = details[model.name].findings
        shown = findings if verbose else findings[:FEW_FINDINGS]
        sys.stdout.write(f"UNHEALTHY  {printable(model.display_name or model.name)}\n")
        _print_findings(shown)
        if len(shown) < len(findings):
            sys.stdout.write(f"  and {len(findings) - len(shown)} more; --verbose shows them\n")
    for fix in result.fixes:
        outcome = "fixed      " if fix.status == "fixed" else "NOT FIXED  "
        sys.stdout.write(f"{outcome}{printable(fix.name)}: {printable(fix.message)}\n")
    summary = result.summary
    sys.stdout.write(
        f"{summary.total} checked: {summary.healthy_count} healthy, {summary.unhealthy_count} unhealthy\n"
    )


def _verified(details: HealthDetails) -> str:
    found = details.verification
    if found is None:
        return ""
    if not found.files_checked:
        return " (not verified: nothing states its files' digests)"
    left = f"; not verifiable: {_few(found.unverified)}" if found.unverified else ""
    return f" (verified: {found.files_checked} files, {human_size(found.bytes_checked)}{printable(left)})"


def _few(names: Sequence[str]) -> str:
    rest = len(names) - FEW_FINDINGS
    return ", ".join(names[:FEW_FINDINGS]) + (f" and {rest} more" if rest > 0 else "")


# version


def print_version(result: VersionResult) -> None:
    """Print the version line."""
    sys.stdout.write(f"mlxk {result.cli_version} (JSON API {result.json_api_spec_version})\n")
