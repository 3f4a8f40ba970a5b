"""The WSGI body of a stream: it tails a generation's log until its end, or until its client has gone."""

import socket
import struct

from sluice_service.generation.base import Stream
from sluice_service.generation.pump import Pump
from sluice_service.generation.reader import Reader
from sluice_service.web.departures import Departures

WRITE_TIMEOUT_SECONDS = 30
"""A client that takes nothing for so long is dropped."""

# A struct timeval. Each send is bounded, not the whole of `sendall` as by a Python time-out, which would drop a reader that
# is slow but alive. Linux can take three times as long, because a send that got a part away counts as progress.
_SEND_TIMEOUT = struct.pack("ll", WRITE_TIMEOUT_SECONDS, 0)


class Tail:
    """An iterator of bytes: all that is new in one piece, a heartbeat after every `heartbeat_seconds` of silence.

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
    ) -> None:
        self._stream = stream
        self._pump = pump
        self._departures = departures
        self._connection = connection
        self._heartbeat_seconds = heartbeat_seconds
        self._preamble = preamble
        self._heartbeat_due = False
        self._closed = False
        self._reader = Reader(stream.log, cursor)
        pump.post(stream.attach)
        if connection is not None:
            _bound_writes(connection)
            departures.watch(connection, self._reader.depart)

    @property
    def departed(self) -> bool:
        """Whether the client went before the end; one that has everything may close before we have noticed."""
        return self._reader.departed and not self._reader.at_end

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
        if self._preamble:
            preamble, self._preamble = self._preamble, b""
            return preamble
        while not self._reader.departed:
            if data := self._reader.take():
                self._heartbeat_due = False
                return data
            if self._reader.at_end:
                break
            if self._heartbeat_due or not self._reader.wait(self._heartbeat_seconds):
                self._heartbeat_due = False
                return self._stream.heartbeat or b""
        raise StopIteration

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
        self._pump.post(self._stream.detach)


def _bound_writes(connection: socket.socket) -> None:
    """Let the kernel give up a client that takes nothing, or that vanished without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
    if hasattr(socket, "TCP_USER_TIMEOUT") and connection.family in (socket.AF_INET, socket.AF_INET6):
        # Exact, and for heartbeats too: for so long may what was sent stay unacknowledged, or find no room.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, WRITE_TIMEOUT_SECONDS * 1000)
