"""How fast workspaces are hashed, checked and listed.

    python -m tools.bench.workspaces

Hashing and repairing the index: 100 sparse shards of 5 GB, each in a process of its own, with its peak
memory. Checking: 100 clean workspaces against a bare walk that stats every file. Listing: `mlxk list` with
them against `mlxk list` without, plus that walk.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mlxk.adapters.workspace_integrity import DiskIntegrity
from mlxk.domain.manifest import Operation, Origin
from mlxk.domain.model import Cleanliness

__all__ = ["main"]

_RUNS = 9
_WORKSPACES = 100
_SHARDS = 100
_SHARD_BYTES = 5 * 10**9
_ORIGIN = Origin("org/name", "a" * 40, Operation.CLONE)


def main() -> None:
    """Print a line per question."""
    if sys.argv[1:2] == ["hash"]:
        _hash_and_report(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as place:
        _bench_hash(Path(place) / "large")
        _bench_repair(Path(place) / "large", Path(place) / "repaired")
        home = Path(place) / "home"
        for number in range(_WORKSPACES):
            _build(home / f"model-{number:03d}", shards=4)
            DiskIntegrity().found(home / f"model-{number:03d}", _ORIGIN)
        _bench_check(home)
        _bench_list(home, Path(place))


def _bench_hash(workspace: Path) -> None:
    _build(workspace, shards=_SHARDS, shard_bytes=_SHARD_BYTES)
    command = [sys.executable, "-m", "tools.bench.workspaces", "hash", str(workspace)]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def _hash_and_report(workspace: Path) -> None:
    begin = time.perf_counter()
    DiskIntegrity().found(workspace, _ORIGIN)
    taken = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"hash {_SHARDS} shards of {_SHARD_BYTES / 1e9:.0f} GB: {taken * 1000:.0f} ms, peak {peak:.0f} MiB")


def _bench_repair(workspace: Path, target: Path) -> None:
    """The whole command: it reads the headers of all shards, and copies the holes as holes."""
    command = [sys.executable, "-m", "mlxk", "convert", str(workspace), str(target), "--repair-index"]
    begin = time.perf_counter()
    process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"repair-index failed with exit code {process.returncode}")
    peak = usage.ru_maxrss / 1024
    print(f"repair the index of {_SHARDS} shards: {taken * 1000:.0f} ms, peak {peak:.0f} MiB")


def _bench_check(home: Path) -> None:
    workspaces = sorted(home.iterdir())

    def check() -> None:
        states = [DiskIntegrity().state(workspace) for workspace in workspaces]
        assert all(state.cleanliness is Cleanliness.CLEAN for state in states)

    mine, bare = _medians([check, lambda: _stat_walk(home)])
    print(
        f"check {_WORKSPACES} workspaces: {mine * 1000:.1f} ms, bare stat walk {bare * 1000:.1f} ms, "
        f"ratio {mine / bare:.2f}"
    )


def _bench_list(home: Path, place: Path) -> None:
    empty = place / "empty"
    empty.mkdir()
    listing, startup, walk = _medians(
        [lambda: _list(home, place), lambda: _list(empty, place), lambda: _stat_walk(home)]
    )
    print(
        f"list {_WORKSPACES} workspaces: {listing * 1000:.0f} ms, start-up {startup * 1000:.0f} ms, "
        f"walk {walk * 1000:.1f} ms, ratio {listing / (startup + walk):.2f}"
    )


def _list(home: Path, place: Path) -> None:
    environ = os.environ | {"MLXK_WORKSPACE_HOME": str(home), "HF_HUB_CACHE": str(place / "no-cache")}
    command = [sys.executable, "-m", "mlxk", "list", "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout
    models = json.loads(answer)["data"]["models"]
    assert all(model["clean"] for model in models if model["name"].startswith(str(home)))


def _stat_walk(directory: Path) -> int:
    count = 0
    pending = [str(directory)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    count += entry.stat(follow_symlinks=False).st_size > 0
    return count


def _medians(contestants: Sequence[Callable[[], object]]) -> list[float]:
    times: list[list[float]] = [[] for _ in contestants]
    for _ in range(_RUNS):
        for contestant, taken in zip(contestants, times, strict=True):
            begin = time.perf_counter()
            contestant()
            taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in times]


def _build(workspace: Path, *, shards: int, shard_bytes: int = 10**9) -> None:
    workspace.mkdir(parents=True)
    config = {"model_type": "llama", "quantization": {"bits": 4, "group_size": 64}}
    (workspace / "config.json").write_text(json.dumps(config))
    (workspace / "tokenizer.json").write_text(json.dumps({"vocabulary": os.urandom(50_000).hex()}))
    for name in ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json"):
        (workspace / name).write_text("{}")
    (workspace / "README.md").write_text("---\ntags:\n- mlx\n---\n")
    names = [f"model-{number:05d}-of-{shards:05d}.safetensors" for number in range(1, shards + 1)]
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}}
    (workspace / "model.safetensors.index.json").write_text(json.dumps(index))
    for number, name in enumerate(names):
        _sparse_shard(workspace / name, number, shard_bytes)


def _sparse_shard(file: Path, number: int, size: int) -> None:
    """A shard with as many tensors as one of four of an 8B model, and a hole for them."""
    tensors: dict[str, object] = {
        f"layer.{number}.{part}.weight": {"dtype": "U32", "shape": [0], "data_offsets": [0, 0]}
        for part in range(190)
    }
    header = b""
    for _ in range(3):  # its own length is part of the size
        end = size - 8 - len(header)
        tensors[f"layer.{number}"] = {"dtype": "U8", "shape": [end], "data_offsets": [0, end]}
        header = json.dumps(tensors, separators=(",", ":")).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, size)


if __name__ == "__main__":
    main()
