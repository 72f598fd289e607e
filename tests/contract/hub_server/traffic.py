"""What was asked of the Hub, for tests to look at afterwards."""

import threading
from dataclasses import dataclass
from enum import Enum


class Place(Enum):
    """Which part of the Hub was asked."""

    API = "the API"
    RESOLVE = "where a file is"
    BYTES = "a file's bytes, from the Hub or its CDN"
    STORAGE = "a file's bytes, to the storage"


@dataclass(frozen=True)
class Request:
    """One request as it arrived.

    Attributes:
        path: decoded, without the query.
        range: the Range header.
        authorization: the header with the token.
    """

    place: Place
    method: str
    path: str
    range: str | None
    authorization: str | None


class Traffic:
    """The request log."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def add(self, request: Request) -> None:
        """Note a request."""
        with self._lock:
            self._requests.append(request)

    def all(self) -> list[Request]:
        """Everything so far."""
        with self._lock:
            return list(self._requests)

    def downloads(self, path: str = "") -> list[Request]:
        """Requests for the bytes of files; `path` is what theirs ends in."""
        return [
            request
            for request in self.all()
            if request.place is Place.BYTES and request.method == "GET" and request.path.endswith(path)
        ]

    def uploads(self) -> list[str]:
        """The sha256 of every content that was sent to the storage, whole or not, in order."""
        return [request.path.rpartition("/")[2] for request in self.all() if request.place is Place.STORAGE]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._requests.clear()
