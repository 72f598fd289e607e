"""What `mlxk diff` says to people: a line per part, then what differs in it, with `+`, `-` and `~`."""

import json
import sys
from collections.abc import Iterable, Iterator

from mlxk.app.diff import ConfigDiff, DiffResult, FileDiff, TensorDiff, TensorEntry
from mlxk.cli.output.envelope import plain
from mlxk.cli.output.terminal import printable

__all__ = ["print_diff"]

FEW = 8
"""Differences of a part that are shown without `--verbose`."""

WIDEST = 100
"""Characters of a value that are shown."""


def print_diff(result: DiffResult, *, everything: bool) -> None:
    """Print what differs; all of it, or the first few of each part."""
    _write(f"--- {result.first}\n+++ {result.second}")
    if result.same:
        _write("No differences.")
        return
    _print_part("config", result.config.same, _config_lines(result.config), everything=everything)
    _print_part("tokenizer", result.tokenizer.same, _file_lines(result.tokenizer), everything=everything)
    _print_part(
        "chat template", result.chat_template.same, _file_lines(result.chat_template), everything=everything
    )
    _print_part("tensors", result.tensors.same, _tensor_lines(result.tensors), everything=everything)
    _print_part("weights", result.weights.same, _file_lines(result.weights), everything=everything)
    _print_part("other files", result.other.same, _file_lines(result.other), everything=everything)


def _print_part(name: str, same: bool, lines: Iterable[str], *, everything: bool) -> None:  # noqa: FBT001
    _write(f"{name}: {'same' if same else 'different'}")
    found = list(lines)
    shown = found if everything else found[:FEW]
    for line in shown:
        _write(f"  {line}")
    if len(shown) < len(found):
        _write(f"  and {len(found) - len(shown)} more; --verbose shows them")


def _config_lines(config: ConfigDiff) -> Iterator[str]:
    yield from (
        f"~ {change.key}: {_value(change.first)} -> {_value(change.second)}" for change in config.changed
    )
    yield from (f"- {key}: {_value(value)}" for key, value in config.removed.items())
    yield from (f"+ {key}: {_value(value)}" for key, value in config.added.items())


def _file_lines(files: FileDiff) -> Iterator[str]:
    yield from (f"~ {path}" for path in files.changed)
    yield from (f"- {path}" for path in files.removed)
    yield from (f"+ {path}" for path in files.added)


def _tensor_lines(tensors: TensorDiff) -> Iterator[str]:
    for change in (*tensors.retyped, *tensors.reshaped):
        yield f"~ {change.name}: {_value(change.first)} -> {_value(change.second)}"
    yield from (f"- {_described(entry)}" for entry in tensors.removed)
    yield from (f"+ {_described(entry)}" for entry in tensors.added)


def _described(entry: TensorEntry) -> str:
    return f"{entry.name} {entry.dtype} {list(entry.shape)}"


def _value(value: object) -> str:
    if isinstance(value, str):
        return _cut(value)
    return _cut(json.dumps(plain(value), ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _write(line: str) -> None:
    sys.stdout.write("".join(f"{printable(part)}\n" for part in line.split("\n")))
