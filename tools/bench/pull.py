"""How fast a download is, verified, against `huggingface_hub.snapshot_download`, which verifies nothing.

    python -m tools.bench.pull [--files 4] [--megabytes 250] [--rounds 3] [--into DIRECTORY]

Both download the same model from a Hub on loopback in a process of its own, in turn, each into an empty
cache; the best of the rounds counts.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hub(files: int, megabytes: int) -> Iterator[str]:
    """The URL of a Hub with a model to download."""
    command = [sys.executable, "-m", "tests.contract.hub_server", str(files), str(megabytes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Silence:
    """Progress that nobody watches."""

    def start(self, phase: str, total: int) -> None:
        """Nothing to draw."""

    def advance(self, file: str, count: int) -> None:
        """Nothing to draw."""

    def finish(self) -> None:
        """Nothing to draw."""


def with_mlxk(url: str, cache: Path) -> None:
    """Download, verify and place."""
    from mlxk.adapters.hub.blob_download import BlobSource
    from mlxk.adapters.hub.client import HuggingFaceHub
    from mlxk.adapters.hub.fetcher import HubCacheFetcher
    from mlxk.domain.naming import RepoId

    info = HuggingFaceHub(endpoint=url).describe(RepoId("bench/model"), "main")
    fetcher = HubCacheFetcher(cache, BlobSource(endpoint=url))
    assert fetcher.fetch(info, fetcher.missing(info).files, Silence()).complete


def with_the_library(url: str, cache: Path) -> None:
    """Download and place."""
    from huggingface_hub import snapshot_download

    snapshot_download("bench/model", endpoint=url, cache_dir=cache)


def seconds(download: Callable[[str, Path], None], url: str, into: Path | None) -> float:
    """How long one download into an empty cache takes."""
    cache = Path(tempfile.mkdtemp(prefix="mlxk-bench-", dir=into))
    try:
        begin = time.perf_counter()
        download(url, cache)
        return time.perf_counter() - begin
    finally:
        shutil.rmtree(cache)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--megabytes", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--into", type=Path)
    given = parser.parse_args()
    os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with hub(given.files, given.megabytes) as url:
        ours, theirs = [], []
        for _ in range(given.rounds):
            theirs.append(seconds(with_the_library, url, given.into))
            ours.append(seconds(with_mlxk, url, given.into))
    total = given.files * given.megabytes
    print(f"{given.files} files of {given.megabytes} MB")
    print(f"  snapshot_download  {min(theirs):6.2f} s  {total / min(theirs):7.0f} MB/s")
    print(f"  mlxk, verified     {min(ours):6.2f} s  {total / min(ours):7.0f} MB/s")
    print(f"  ratio              {min(ours) / min(theirs):6.2f}")


if __name__ == "__main__":
    main()
