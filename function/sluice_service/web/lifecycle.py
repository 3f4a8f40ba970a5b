"""One request from its first byte to its last: admission, its two log entries, release.

The outermost WSGI layer, because only it sees every request begin and every body's `close()`, also that of a generator
that never started.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from sluice_service.telemetry import entries
from sluice_service.telemetry.context import CURRENT
from sluice_service.web.exchange import ENVIRON_KEY, Exchange, exchange_of

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEALTH_PATH = "/health"


class Lifecycle:
    """WSGI middleware. `capacity` requests are served at once; beyond them only /health is, the rest is refused."""

    def __init__(self, app: "WSGIApplication", capacity: int) -> None:
        self._app = app
        self._capacity = capacity
        # Guards the two below.
        self._changed = threading.Condition()
        self._open: set[Exchange] = set()
        self._draining = False

    @property
    def open_requests(self) -> int:
        """How many requests are being served, /health and refusals apart."""
        return len(self._open)

    def refuse_new(self) -> None:
        """Admit nobody any more."""
        self._draining = True

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Wait until no admitted request is open; False when some still are after the time-out."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_seconds)

    def hang_up(self) -> None:
        """Cut the connections of the requests that are still open: their threads wait for clients that do not move."""
        with self._changed:
            connections = [current.connection for current in self._open if current.connection is not None]
        for connection in connections:
            with contextlib.suppress(OSError):  # it may be closed by now
                connection.shutdown(socket.SHUT_RDWR)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request."""
        current = exchange_of(environ)
        self._admit(current)
        environ[ENVIRON_KEY] = current
        token = CURRENT.set(current.context)

        def release() -> None:
            _write_complete(current)
            self._leave(current)
            CURRENT.reset(token)

        body = _Body(current, release)
        try:
            entries.write(entries.REQUEST_RECEIVED, f"{current.method} {current.path}")
            body.source = self._app(environ, _with_ids(current, start_response))
            # A cycle, and of no use while the body is sent, which can take minutes.
            environ.pop("werkzeug.request", None)
        except BaseException:
            body.close()
            raise
        return body

    def _admit(self, current: Exchange) -> None:
        if current.path == HEALTH_PATH:
            return
        with self._changed:
            if self._draining:
                current.refused_with = "server_draining"
            elif len(self._open) >= self._capacity:
                current.refused_with = "over_capacity"
            else:
                self._open.add(current)

    def _leave(self, current: Exchange) -> None:
        with self._changed:
            self._open.discard(current)
            self._changed.notify_all()


class _Body:
    """A response's body that counts what is sent and releases what the request held, once, however it ends."""

    def __init__(self, current: Exchange, release: Callable[[], None]) -> None:
        self.source: Iterable[bytes] = ()
        self._exchange = current
        self._release: Callable[[], None] | None = release

    def __iter__(self) -> Iterator[bytes]:
        for data in self.source:
            if self._exchange.first_byte is None:
                self._exchange.first_byte = time.monotonic()
            self._exchange.count_sent(len(data))
            yield data

    def close(self) -> None:
        release, self._release = self._release, None
        if release is None:
            return
        try:
            close = getattr(self.source, "close", None)
            if close is not None:
                close()
        finally:
            release()


def _with_ids(current: Exchange, start_response: "StartResponse") -> "StartResponse":
    def start(
        status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
    ) -> Callable[[bytes], object]:
        current.status = int(status[:3])
        ids = [("x-request-id", current.context.request_id), ("x-correlation-id", current.context.correlation_id)]
        return start_response(status, [*headers, *ids], exc_info)

    return start


def _write_complete(current: Exchange) -> None:
    now = time.monotonic()
    duration = now - current.started
    http = {
        "requestMethod": current.method,
        "requestUrl": current.path,  # never the query: it can hold a ticket
        "status": current.status,
        "userAgent": current.user_agent,
        "responseSize": str(current.sent_bytes),
        "latency": f"{duration:.6f}s",
    }
    entries.write(
        entries.RESPONSE_COMPLETE,
        f"{current.method} {current.path} {current.status}",
        httpRequest=http,
        status=current.status,
        duration_ms=round(duration * 1000, 1),
        delivery_ms=None if current.first_byte is None else round((now - current.first_byte) * 1000, 1),
        **current.take_facts(),
    )
