"""What can go wrong on the way, on purpose: for one path, so many times."""

import threading
from dataclasses import dataclass
from enum import Enum, auto


class Trouble(Enum):
    """Kinds of trouble; `Fault.amount` says how much where that makes sense."""

    CUT = auto()  # the connection closes after so many bytes of the body
    RESET = auto()  # the connection is reset after so many bytes of the body
    STATUS = auto()  # an error status, with Retry-After if `retry_after` is given
    ODD_STATUS = auto()  # an error status with a body that is JSON and no object
    SLOW = auto()  # so many bytes a second
    WRONG_BYTES = auto()  # right length, other content
    TRUNCATED = auto()  # a complete answer with the last bytes missing
    PADDED = auto()  # a complete answer with bytes too many
    HANG = auto()  # so many bytes of the body, then silence
    HOLD = auto()  # so many bytes of the body, the rest when `Faults.release` is called
    SILENT = auto()  # not even a header
    IGNORE_RANGE = auto()  # always the whole file, with 200
    WRONG_RANGE = auto()  # a range that was not asked for
    NO_LENGTH = auto()  # chunked, no Content-Length
    CHUNKED_CUT = auto()  # chunked, ends properly after so many bytes
    NOT_JSON = auto()  # a login page instead of an answer


@dataclass(frozen=True)
class Fault:
    """Trouble for requests of one method and path suffix.

    Attributes:
        path: what the request's path ends in (for LFS files the CDN request counts, under the file's path).
        times: how many requests it hits before it is over.
        code: the `X-Error-Code` of an error status.
    """

    path: str
    trouble: Trouble
    amount: int = 0
    retry_after: str | None = None
    times: int = 1
    method: str = "GET"
    code: str | None = None


class Faults:
    """The faults that are still to come, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, int]] = []
        self._released = threading.Event()

    @property
    def released(self) -> bool:
        """Whether held answers may go on."""
        return self._released.is_set()

    def release(self) -> None:
        """Let held answers go on."""
        self._released.set()

    def add(self, *faults: Fault) -> None:
        """Let these happen."""
        with self._lock:
            self._left += [(fault, fault.times) for fault in faults]

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for a request, which is then used up by one."""
        with self._lock:
            for number, (fault, times) in enumerate(self._left):
                if fault.method == method and path.endswith(fault.path):
                    self._left[number : number + 1] = [(fault, times - 1)] if times > 1 else []
                    return fault
        return None

    def clear(self) -> None:
        """No more trouble."""
        with self._lock:
            self._left.clear()
        self._released.clear()
