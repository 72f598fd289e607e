"""How long listing takes, beside the Hub's own listing of the same cache.

    python -m tools.bench.listing [--models 100 1000] [--runs 7]

Commands are run in turn, so that a busy machine slows them alike; printed are medians of wall and processor
time, and their ratios. `mlxk list` also reads configurations, model cards and weight headers; `hf cache ls`
only adds up sizes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench.caches import Shape, build_cache

__all__ = ["main"]

MEMORY_LIMIT = 80 * 1000 * 1000
"""Bytes of resident memory that `mlxk list` may need for 100 models."""

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a command: seconds of wall and processor time, and peak resident memory in bytes."""

    wall: float
    processor: float
    memory: int


def main() -> None:
    """Build the caches in a temporary directory, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000], help="sizes of the caches")
    parser.add_argument("--runs", type=int, default=7, help="runs of each command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlxk-bench-") as place:
        for models in options.models:
            cache = build_cache(Path(place) / str(models), Shape(models))
            _measure_listing(cache, models, options.runs, Path(place))
        _measure_start(options.runs, Path(place))


def _measure_listing(cache: Path, models: int, runs: int, home: Path) -> None:
    commands = {
        "mlxk list --all --json": [str(_BIN / "mlxk"), "list", "--all", "--json"],
        "hf cache ls --format json": [str(_BIN / "hf"), "cache", "ls", "--format", "json"],
    }
    print(f"\n{models} models")
    results = _in_turn(commands, runs, {"HF_HUB_CACHE": str(cache), **_home(home)})
    ours, theirs = results.values()
    _print_ratio("mlxk / hf", ours, theirs)
    peak = max(run.memory for run in ours)
    verdict = "within" if peak <= MEMORY_LIMIT else "ABOVE"
    print(f"  peak memory of mlxk list: {peak / 1e6:.0f} MB; {verdict} {MEMORY_LIMIT / 1e6:.0f} MB")


def _measure_start(runs: int, home: Path) -> None:
    commands = {
        "mlxk --version": [str(_BIN / "mlxk"), "--version"],
        "python -c 'import typer'": [sys.executable, "-c", "import typer"],
    }
    print("\nstart")
    ours, typer = _in_turn(commands, runs, _home(home)).values()
    _print_ratio("mlxk --version / import typer (at most 2)", ours, typer)


def _home(place: Path) -> dict[str, str]:
    """An environment in which nothing of the user's is read or written."""
    home = place / "home"
    home.mkdir(exist_ok=True)
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
    return {**kept, "HOME": str(home), "HF_HUB_OFFLINE": "1"}


def _in_turn(
    commands: Mapping[str, Sequence[str]], runs: int, environ: Mapping[str, str]
) -> dict[str, list[_Run]]:
    for command in commands.values():  # the first run fills the file system's cache, and mlxk's own
        _run(command, environ)
    results: dict[str, list[_Run]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            results[name].append(_run(command, environ))
    for name, found in results.items():
        print(f"  {name:28} {_wall(found) * 1e3:7.0f} ms wall, {_processor(found) * 1e3:6.0f} ms processor")
    return results


def _run(command: Sequence[str], environ: Mapping[str, str]) -> _Run:
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return _Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def _wall(runs: Sequence[_Run]) -> float:
    return statistics.median(run.wall for run in runs)


def _processor(runs: Sequence[_Run]) -> float:
    return statistics.median(run.processor for run in runs)


def _print_ratio(name: str, ours: Sequence[_Run], theirs: Sequence[_Run]) -> None:
    wall, processor = _wall(ours) / _wall(theirs), _processor(ours) / _processor(theirs)
    print(f"  {name}: {wall:.2f} (processor {processor:.2f})")


if __name__ == "__main__":
    main()
