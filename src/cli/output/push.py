"""What `mlxk push` prints for people."""

import sys

from mlxk.app.push import PushResult
from mlxk.app.push_folder import WorkspaceHealth
from mlxk.cli.output.terminal import printable
from mlxk.domain.sizes import human_size

__all__ = ["print_push"]

MAX_LISTED = 50
"""Files of one kind that a dry run lists before it counts the rest."""


def print_push(result: PushResult) -> None:
    """Print what was done, would be done, or was found."""
    if result.workspace_health is not None:
        _print_health(result.workspace_health)
        return
    for sign, paths in (
        ("+", result.added_files),
        ("~", result.modified_files),
        ("-", result.deleted_files),
    ):
        _print_paths(sign, paths or ())
    _line(result.message)
    if result.commit_url:
        _line(result.commit_url)


def _print_paths(sign: str, paths: tuple[str, ...]) -> None:
    for path in paths[:MAX_LISTED]:
        _line(f"{sign} {path}")
    if len(paths) > MAX_LISTED:
        _line(f"{sign} … {len(paths) - MAX_LISTED} more")


def _print_health(health: WorkspaceHealth) -> None:
    state = "ready to push" if health.healthy else "not healthy"
    _line(f"{health.files_count} files, {human_size(health.total_bytes)}: {state}")
    for finding in health.anomalies:
        _line(f"  {finding.severity}: {finding.message} ({finding.remedy})")


def _line(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")
