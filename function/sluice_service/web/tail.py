"""The WSGI body of a stream: it tails a generation's log until its end, or until its client has gone."""

import socket
import struct
import time
from collections.abc import Callable

from sluice_service.generation.base import Stream
from sluice_service.generation.pump import Pump
from sluice_service.generation.reader import Reader
from sluice_service.web.departures import Departures

WRITE_TIMEOUT_SECONDS = 30
"""A client that takes nothing for so long is dropped."""

# A struct timeval. Each send is bounded, not the whole of `sendall` as by a Python time-out, which would drop a reader that
# is slow but alive. Linux can take three times as long, because a send that got a part away counts as progress.
_SEND_TIMEOUT = struct.pack("ll", WRITE_TIMEOUT_SECONDS, 0)

_AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)


class Tail:
    """An iterator of bytes: all that is new in one piece, a heartbeat after every `heartbeat_seconds` of silence.

    With `chunked` the pump writes what comes after the first piece to the connection itself, as chunks of HTTP/1.1 (RFC
    9112, section 7.1), and the iterator waits; a client that is too slow for that is served by the iterator until it has
    caught up. `sent` is told how many bytes went that way.

    Holds a reader, the watch on the connection and a place among the generation's readers until `close`, which the
    server calls in any case, and which may be called again.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        pump: Pump,
        departures: Departures,
        connection: socket.socket | None,
        cursor: int = 0,
        preamble: bytes = b"",
        heartbeat_seconds: float,
        chunked: bool = False,
        sent: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._stream = stream
        self._pump = pump
        self._departures = departures
        self._connection = connection
        self._heartbeat_seconds = heartbeat_seconds
        self._preamble = preamble
        self._heartbeat_due = False
        self._closed = False
        self._chunked = chunked
        self._sent = sent
        self._begun = False
        self._unsent = b""
        self._uncounted = 0
        self._heard_at = time.monotonic()
        self._reader = Reader(stream.log, cursor)
        pump.post(stream.attach)
        if connection is not None:
            _bound_writes(connection)
            departures.watch(connection, self._reader.depart)

    @property
    def departed(self) -> bool:
        """Whether the client went before the end; one that has everything may close before we have noticed."""
        return self._reader.departed and (bool(self._unsent) or not self._reader.at_end)

    def wait_for_first(self) -> None:
        """Wait for the first frame, the end or the client's departure, but no longer than one heartbeat."""
        self._heartbeat_due = not self._reader.wait(self._heartbeat_seconds)

    def begin_at_once(self) -> None:
        """Send a heartbeat first when there is no frame yet: the status line goes out with the first bytes."""
        self._heartbeat_due = True

    def wait_for_end(self) -> bytes:
        """What there is once the log has ended, a plain answer's only frame; b"" when the client goes before."""
        while not (self._stream.log.ended or self._reader.departed):
            self._reader.wait(self._heartbeat_seconds)
        return self._reader.take()

    def __iter__(self) -> "Tail":
        return self

    def __next__(self) -> bytes:
        piece = self._preamble or self._next()
        self._preamble = b""
        self._begun = True
        self._heard_at = time.monotonic()
        return piece

    def _next(self) -> bytes:
        while not self._reader.departed:
            if self._unsent and self._connection is not None:
                self._connection.sendall(self._unsent)
                self._unsent = b""
                self._sent(self._uncounted)
            if data := self._reader.take():
                self._heartbeat_due = False
                return data
            if self._reader.at_end:
                break
            if self._heartbeat_due or not self._wait():
                self._heartbeat_due = False
                return self._stream.heartbeat or b""
        raise StopIteration

    def _wait(self) -> bool:
        """Wait for something to do; False when a heartbeat is due. What is pushed meanwhile puts that off."""
        push = self._push if self._begun and self._chunked else None
        while (left := self._heard_at + self._heartbeat_seconds - time.monotonic()) > 0:
            # What is left of a chunk goes first: the time may have run out while it was written.
            if self._reader.wait(left, push) or self._unsent:
                return True
        return False

    def _push(self, data: bytes) -> bool:
        """Write a chunk, on the pump's thread. What does not go away at once is left to the request's own thread."""
        chunk = b"%x\r\n%b\r\n" % (len(data), data)
        try:
            written = self._connection.send(chunk, _AT_ONCE) if self._connection is not None else 0
        except BlockingIOError:
            written = 0
        except OSError:
            self._unsent = chunk
            self._reader.depart()
            return False
        self._heard_at = time.monotonic()
        self._unsent = chunk[written:]
        self._uncounted = len(data) if self._unsent else 0
        self._sent(len(data) - self._uncounted)
        return not self._unsent

    def close(self) -> None:
        """Give everything back. A client that the server could not write to any more counts as departed."""
        if self._closed:
            return
        self._closed = True
        if not self._reader.at_end:
            self._reader.depart()
        if self._connection is not None:
            self._departures.unwatch(self._connection)
        self._reader.close()
        if not self._stream.log.ended:
            self._pump.post(self._stream.detach)


def _bound_writes(connection: socket.socket) -> None:
    """Let the kernel give up a client that takes nothing, or that vanished without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
    if hasattr(socket, "TCP_USER_TIMEOUT") and connection.family in (socket.AF_INET, socket.AF_INET6):
        # Exact, and for heartbeats too: for so long may what was sent stay unacknowledged, or find no room.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, WRITE_TIMEOUT_SECONDS * 1000)
