"""How the Hub's answers go over the wire, troubled or not."""

import asyncio
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.contract.hub_server.faults import Fault, Faults, Trouble

_CHUNK = 1024 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Connections:
    """The open connections, by the client's address; what a reset and a hanging answer need."""

    transports: dict[tuple[str, int], asyncio.Transport] = field(default_factory=dict)
    closing: bool = False
    faults: Faults = field(default_factory=Faults)

    def reset(self, client: tuple[str, int]) -> None:
        """Send RST instead of a proper end."""
        transport = self.transports[client]
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def hang(self) -> None:
        """Say nothing until the server ends."""
        while not self.closing:
            await asyncio.sleep(0.05)

    async def hold(self) -> None:
        """Say nothing until the test allows it."""
        while not (self.faults.released or self.closing):
            await asyncio.sleep(0.02)


def error(status: int, code: str | None = None, message: str = "", **headers: str) -> Response:
    """An error as the Hub gives it: by the header `X-Error-Code`."""
    extra = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}
    return JSONResponse({"error": message}, status_code=status, headers=extra)


def error_for(fault: Fault) -> Response:
    """An answer with the fault's status."""
    if fault.trouble is Trouble.ODD_STATUS:
        return JSONResponse(["no", "object"], status_code=fault.amount)
    later = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    return error(fault.amount, fault.code, "trouble", **later)


class FileAnswer(Response):
    """The bytes of a file, or the range that was asked for."""

    def __init__(
        self,
        data: bytes,
        asked: str | None,
        headers: Mapping[str, str],
        fault: Fault | None,
        connections: Connections,
    ) -> None:
        super().__init__()
        self._fault = fault
        self._connections = connections
        data = _altered(data, fault)
        given = _RANGE.fullmatch(asked or "")
        if given is None or self._has(Trouble.IGNORE_RANGE):
            status, self._body, extra = 200, memoryview(data), {}
        else:
            start, end = int(given[1]), min(int(given[2] or len(data) - 1), len(data) - 1)
            if start > end:
                status, self._body, extra = 416, memoryview(b""), {"Content-Range": f"bytes */{len(data)}"}
            else:
                shift = 1 if self._has(Trouble.WRONG_RANGE) and start else 0
                status, self._body = 206, memoryview(data)[start - shift : end + 1]
                extra = {"Content-Range": f"bytes {start - shift}-{end}/{len(data)}"}
        if not (self._has(Trouble.NO_LENGTH) or self._has(Trouble.CHUNKED_CUT)):
            extra["Content-Length"] = str(len(self._body))
        self.status_code = status
        sent = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers, **extra}
        self.raw_headers = [(name.lower().encode(), value.encode()) for name, value in sent.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, up to where the trouble begins."""
        if self._has(Trouble.SILENT):
            await self._connections.hang()
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = self._body if scope["method"] != "HEAD" else memoryview(b"")
        stops = self._has(Trouble.CUT) or self._has(Trouble.RESET) or self._has(Trouble.HANG)
        if self._fault is not None and (stops or self._has(Trouble.CHUNKED_CUT)):
            body = body[: self._fault.amount]
        if self._fault is not None and self._has(Trouble.HOLD):
            await self._send_body(body[: self._fault.amount], send)
            await self._connections.hold()
            body = body[self._fault.amount :]
        await self._send_body(body, send)
        if self._has(Trouble.HANG):
            await self._connections.hang()
        elif self._has(Trouble.RESET):
            await asyncio.sleep(0.1)  # what was sent must have been read, or the reset swallows it
            self._connections.reset(scope["client"])
        elif not stops:
            await send({"type": "http.response.body", "body": b""})

    async def _send_body(self, body: memoryview, send: Send) -> None:
        slow = self._fault.amount if self._fault is not None and self._has(Trouble.SLOW) else None
        size = max(1, slow // 20) if slow else _CHUNK
        for start in range(0, len(body), size):
            piece = bytes(body[start : start + size])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if slow:
                await asyncio.sleep(0.05)
            if self._connections.closing:
                return

    def _has(self, trouble: Trouble) -> bool:
        return self._fault is not None and self._fault.trouble is trouble


def _altered(data: bytes, fault: Fault | None) -> bytes:
    match fault.trouble if fault else None:
        case Trouble.WRONG_BYTES:
            return bytes([data[0] ^ 0xFF]) + data[1:]
        case Trouble.TRUNCATED:
            return data[: -(fault.amount if fault else 0) or None]
        case Trouble.PADDED:
            return data + b"\0" * (fault.amount if fault else 0)
    return data
