"""Downloading one content: from the last byte an earlier try left, to its verified end.

Nothing that arrives is believed: the range, the length and the tag of each answer are compared with what was
asked, no byte is written past the listed size, and the digest, taken while the bytes stream by, decides.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.adapters.hub.digests import begin_digest
from mlxk.adapters.hub.failures import Asked, as_mlxk_error, is_worth_retrying, raise_for_status, retry_after
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.hub import HubFile, RetryPolicy

if TYPE_CHECKING:
    import httpx2

__all__ = ["DOWNLOAD_RETRIES", "BlobDownload", "BlobSource", "Received", "Stopped"]

DOWNLOAD_RETRIES = RetryPolicy()
"""For downloads, which nobody sits and waits for."""

_READ_BACK = 4 * 1024 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_ETAG = re.compile(r'(?:W/)?"?([0-9a-f]{64}|[0-9a-f]{40})"?')


class Stopped(Exception):
    """The work was called off; what was received stays."""


class _WrongContent(Exception):
    """What arrives cannot be the file; the text says why."""


class _EndedEarly(Exception):
    """An answer ended before the file did, without an error."""


@dataclass(frozen=True, slots=True)
class BlobSource:
    """Where contents come from and how patiently they are asked for.

    Attributes:
        endpoint: a Hub's address; None for the configured one.
        token: another token; None for the user's, False for none.
        timeout: seconds without a byte after which a connection counts as lost; None for the client's own
            (`HF_HUB_DOWNLOAD_TIMEOUT`, else 10).
        retries: how often a lost connection is taken up again.
        largest_request: bytes asked for at once; the Hub's CDN serves no answers beyond 50 GB
            (`huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE`).
    """

    endpoint: str | None = None
    token: str | bool | None = None
    timeout: float | None = None
    retries: RetryPolicy = DOWNLOAD_RETRIES
    largest_request: int = 32 * 1024**3


@dataclass(frozen=True, slots=True)
class Received:
    """What one download took: bytes over the network, and bytes that were already there."""

    downloaded: int
    resumed: int


class _Content:
    """The partial file of one content, its end and the digest up to there."""

    def __init__(
        self, path: Path, file: HubFile, advanced: Callable[[int], object], stop: threading.Event
    ) -> None:
        self._path = path
        self._file = file
        self._advanced = advanced
        self._stream = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self.position = 0
        self._digest = begin_digest(file)
        self._read_back(stop)

    def append(self, chunk: bytes) -> None:
        """Write at the end.

        Raises:
            _WrongContent: that would be more than the file has.
            OSError: it cannot be written.
        """
        if self.position + len(chunk) > self._file.size:
            raise _WrongContent(f"the Hub sends more than the {self._file.size} bytes it lists")
        left = memoryview(chunk)
        while left:
            written = self._stream.write(left)
            self._digest.update(left[:written])
            self.position += written
            left = left[written:]
        self._advanced(self.position)

    def restart(self) -> None:
        """Forget everything. A new file, since another process may still hold the old one."""
        self._stream.close()
        self._path.unlink(missing_ok=True)
        self._stream = self._path.open("x+b", buffering=0)
        self.position = 0
        self._advanced(0)
        self._digest = begin_digest(self._file)

    def is_right(self) -> bool:
        """Whether the digest up to here is the file's."""
        return self.position == self._file.size and self._digest.hexdigest() == self._file.digest.value

    def move_to(self, target: Path) -> None:
        """Make it safe on the disk, and name it as whole.

        Raises:
            OSError: it cannot be.
        """
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._path.replace(target)

    def close(self) -> None:
        """Let go of the file; what was written stays."""
        self._stream.close()

    def _read_back(self, stop: threading.Event) -> None:
        if os.fstat(self._stream.fileno()).st_size > self._file.size:
            self.restart()
            return
        buffer = memoryview(bytearray(_READ_BACK))
        while count := self._stream.readinto(buffer):
            if stop.is_set():
                self.close()
                raise Stopped
            self._digest.update(buffer[:count])
            self.position += count
            self._advanced(self.position)


@dataclass(slots=True)
class BlobDownload:
    """One content on its way into the cache.

    Attributes:
        url: where the Hub serves it (`…/resolve/<commit>/<path>`).
        partial: where it grows; the caller holds the lock for it.
        advanced: hears the number of bytes that are there so far, which may go back to 0.
        stop: set from outside to call the work off within one chunk.
    """

    source: BlobSource
    file: HubFile
    url: str
    asked: Asked
    partial: Path
    advanced: Callable[[int], object]
    stop: threading.Event
    _downloaded: int = field(default=0, init=False)

    def into(self, target: Path) -> Received:
        """Download what is missing, verify all of it and name it `target`; wrong bytes are fetched once more.

        Raises:
            Stopped: `stop` was set.
            MlxkError: (`DOWNLOAD_FAILED`) wrong bytes twice, or refused; (`NETWORK`) the connection stayed
                lost; (`ACCESS_DENIED`, `AUTH`, `INSUFFICIENT_DISK`, `PERMISSION`) as they say.
        """
        try:
            content = _Content(self.partial, self.file, self.advanced, self.stop)
        except OSError as error:
            raise as_mlxk_error(error, self.asked) from error
        resumed = content.position
        try:
            if self._try(content) and (problem := self._once_more(content)):
                self.partial.unlink(missing_ok=True)
                raise MlxkError(
                    ErrorKind.DOWNLOAD_FAILED,
                    f"Downloaded twice, {self.asked} was not what the Hub promises: {problem}.",
                    hint="repeat the command later; if it stays so, the Hub has a damaged file",
                )
            content.move_to(target)
        except OSError as error:
            raise as_mlxk_error(error, self.asked) from error
        finally:
            content.close()
        return Received(self._downloaded, resumed)

    def _once_more(self, content: _Content) -> str | None:
        content.restart()
        return self._try(content)

    def _try(self, content: _Content) -> str | None:
        """Fill the content to its end; what is wrong with it, or None."""
        try:
            self._fill(content)
        except _WrongContent as wrong:
            return str(wrong)
        return None if content.is_right() else f"its {self.file.digest.kind.value} differs"

    def _fill(self, content: _Content) -> None:
        failures, furthest = 0, content.position
        while content.position < self.file.size:
            try:
                self._request(content)
                failed = None
            except (Stopped, _WrongContent):
                raise
            except Exception as error:  # noqa: BLE001 - sorted by what the client means by it
                if not (isinstance(error, _EndedEarly) or is_worth_retrying(error)):
                    raise as_mlxk_error(error, self.asked) from None
                failed = error
            failures = 0 if content.position > furthest else failures + 1
            furthest = max(furthest, content.position)
            if failed is not None:
                self._pause(failures, failed)

    def _pause(self, failures: int, failed: Exception) -> None:
        wait = self.source.retries.wait(failures, retry_after(failed))
        if wait is None:
            if isinstance(failed, _EndedEarly):
                raise MlxkError(
                    ErrorKind.NETWORK,
                    f"The connection ends again and again while downloading {self.asked}.",
                    hint="repeat the command; it continues where it stopped",
                )
            raise as_mlxk_error(failed, self.asked) from None
        if self.stop.wait(wait):
            raise Stopped

    def _request(self, content: _Content) -> None:
        """One request for the rest (or the next part of it), appended as it arrives."""
        with self._answer(content.position) as response:
            self._compare(response, content)
            before = content.position
            for chunk in response.iter_bytes():
                if self.stop.is_set():
                    raise Stopped
                content.append(chunk)
                self._downloaded += len(chunk)
        is_part = response.status_code == 206 and self.file.size > self.source.largest_request
        if content.position < self.file.size and not (is_part and content.position > before):
            raise _EndedEarly

    @contextmanager
    def _answer(self, position: int) -> Iterator["httpx2.Response"]:
        import httpx2
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers, get_session

        if self.stop.is_set():
            raise Stopped
        headers = build_hf_headers(token=self.source.token)
        headers["Accept-Encoding"] = "identity"
        end = position + self.source.largest_request
        if end < self.file.size:
            headers["Range"] = f"bytes={position}-{end - 1}"
        elif position:
            headers["Range"] = f"bytes={position}-"
        seconds = constants.HF_HUB_DOWNLOAD_TIMEOUT if self.source.timeout is None else self.source.timeout
        timeout = httpx2.Timeout(seconds, pool=None)
        with get_session().stream("GET", self.url, headers=headers, timeout=timeout) as response:
            yield response

    def _compare(self, response: "httpx2.Response", content: _Content) -> None:
        """See that an answer continues the content; start it anew where it cannot.

        Raises:
            HfHubHTTPError: the answer is an error.
            _WrongContent: it announces another length than the file's.
            _EndedEarly: it starts elsewhere, or this place is past its end; the next request starts anew.
        """
        if response.status_code == 416 and content.position:
            content.restart()
            raise _EndedEarly
        raise_for_status(response)
        if response.status_code == 206:
            self._compare_range(response, content)
            return
        if content.position:
            content.restart()
        length = response.headers.get("Content-Length", "")
        plain = response.headers.get("Content-Encoding", "identity") == "identity"
        if plain and length.isdigit() and int(length) != self.file.size:
            raise _WrongContent(f"the Hub lists {self.file.size} bytes and sends {length}")

    def _compare_range(self, response: "httpx2.Response", content: _Content) -> None:
        given = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if given is None or int(given[1]) != content.position or not self._is_same_file(response):
            content.restart()
            raise _EndedEarly
        if given[3] not in ("*", str(self.file.size)):
            raise _WrongContent(f"the Hub lists {self.file.size} bytes and has {given[3]}")

    def _is_same_file(self, response: "httpx2.Response") -> bool:
        """Whether the Hub's own answer, not that of the storage it sends to, has this digest as its tag."""
        linked = [answer.headers.get("X-Linked-ETag") for answer in (*response.history, response)]
        own = None if response.history else response.headers.get("ETag")
        tag = _ETAG.fullmatch(next(filter(None, [*linked, own]), ""))
        return tag is None or tag[1] == self.file.digest.value
