"""gunicorn's threaded worker, changed where one client could hold up all others.

gunicorn closes connections on the loop that also accepts them, and waits there for the peer to close first: 2 s for each
one that does not. With twelve unfinished bodies refused, /health took 24 s. Here the request's own thread does the waiting.
"""

import contextlib
import socket
import struct
import threading
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # gunicorn ships no types

HEAD_TIMEOUT_SECONDS = 20
"""A client that stops in the middle of a request's head is dropped after so long; gunicorn itself waits for ever."""

LINGER_SECONDS = 2.0
"""How long to read on after the last byte was sent: closed with unread data, a connection is reset, the reply lost."""

LINGERING_THREADS = 12
"""How many threads may wait so at once: fewer than are in reserve, which /health lives on."""

UNREAD_SECONDS = 0.1
"""How long to wait for the rest of a body that was refused; gunicorn's 5 s would hold a thread each."""

PIECE_BYTES = 1 << 16

# A struct timeval. Where a Python time-out is set, as for the body, that one counts.
_RECEIVE_TIMEOUT = struct.pack("ll", HEAD_TIMEOUT_SECONDS, 0)

# A struct linger: closing discards what is unsent and resets the connection.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_lingering = threading.BoundedSemaphore(LINGERING_THREADS)


class Worker(ThreadWorker):  # type: ignore[misc]  # an untyped base
    """`gunicorn.config.WorkerClass.default = "sluice_service.web.worker.Worker"`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._served: set[socket.socket] = set()

    def handle(self, conn: Any) -> object:
        """Serve one request in this thread; what is returned says whether the connection is kept."""
        connection: socket.socket = conn.sock
        self._served.add(connection)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _RECEIVE_TIMEOUT)
            kept: object = super().handle(conn)
            if not kept:
                _end(connection)
            return kept
        finally:
            self._served.discard(connection)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop, when every request has ended: what threads still wait for are clients that have not asked anything."""
        super().handle_exit(sig, frame)
        for connection in list(self._served):
            with contextlib.suppress(OSError):  # it may be closed by now
                connection.shutdown(socket.SHUT_RD)

    def _keepalive_after(self, conn: Any, keepalive: object) -> bool:
        """Whether the connection can serve another request: not with a body that is not all there, refused unread."""
        deadline = time.monotonic() + UNREAD_SECONDS
        return bool(keepalive) and bool(conn.parser.finish_body(deadline=deadline))


def _end(connection: socket.socket) -> None:
    """Wait for the peer's own end where there is a place for that; reset it where too many are waited for already."""
    if _lingering.acquire(blocking=False):
        try:
            _linger(connection)
        finally:
            _lingering.release()
    else:
        with contextlib.suppress(OSError):  # it may be gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            connection.shutdown(socket.SHUT_RD)


def _linger(connection: socket.socket) -> None:
    """End our side, wait for the peer to end its own, then end that too: closing finds nothing left to wait for.

    A peer that is still sending what nobody wants is reset in the end; left alone it would go on waiting for room.
    """
    with contextlib.suppress(OSError):  # the peer may have gone, or gunicorn closed it
        connection.shutdown(socket.SHUT_WR)
        if not _drained(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def _drained(connection: socket.socket) -> bool:
    """Whether the peer ended its side within the time; what it sends meanwhile is dropped."""
    deadline = time.monotonic() + LINGER_SECONDS
    while (remaining := deadline - time.monotonic()) > 0:
        connection.settimeout(remaining)
        if not connection.recv(PIECE_BYTES):
            return True
    return False
