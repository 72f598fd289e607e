"""Writing a model's weight index from its shards' headers, one shard at a time."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlxk.adapters.bounded_read import describe
from mlxk.adapters.tensor_headers import read_tensors
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.model import HeaderProblem
from mlxk.domain.ports import Progress
from mlxk.domain.weight_index import MAIN_INDEX, ShardTensors, index_text

__all__ = ["HeaderIndexBuilder"]


class HeaderIndexBuilder:
    """Builds indexes; of the weights only headers are read."""

    def build(self, directory: Path, shards: Sequence[str], progress: Progress) -> None:
        """Write `model.safetensors.index.json` from the headers of the shards, in one step.

        Raises:
            MlxkError: (`OPERATION`) a header cannot be read, or two shards hold the same tensor;
                (`INSUFFICIENT_DISK`, `PERMISSION`) it cannot be written.
        """
        sizes = {shard: (directory / shard).stat().st_size for shard in shards}
        progress.start("index", sum(sizes.values()))
        try:
            text = index_text(_read(directory, sizes, progress))
        finally:
            progress.finish()
        try:
            _replace(directory / MAIN_INDEX, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise MlxkError(
                ErrorKind.INSUFFICIENT_DISK if full else ErrorKind.PERMISSION,
                f"The weight index cannot be written: {describe(error)}.",
                hint="free some space" if full else "check the permissions of the target's directory",
            ) from error


def _read(directory: Path, sizes: dict[str, int], progress: Progress) -> Iterator[ShardTensors]:
    for shard, size in sizes.items():
        tensors = read_tensors(directory / shard)
        if isinstance(tensors, HeaderProblem):
            raise MlxkError(
                ErrorKind.OPERATION,
                f"{shard} cannot be indexed: {tensors.reason}.",
                hint="download that file again",
            )
        yield ShardTensors(shard, tuple(tensors), sum(tensor.size for tensor in tensors.values()))
        progress.advance(shard, size)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
