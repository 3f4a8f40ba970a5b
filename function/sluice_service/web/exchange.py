"""One request from its first byte to its last: ids, admission, its two log entries, release.

The outermost WSGI layer, because only it sees every request begin and every body's `close()`, also that of a generator
that never started.
"""

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flask import request

from sluice_service.telemetry import entries
from sluice_service.telemetry.context import CURRENT, RequestContext
from sluice_service.telemetry.trace import trace_from

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ENVIRON_KEY = "sluice.exchange"
HEALTH_PATH = "/health"

_SANE_TOKEN = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(slots=True)
class Exchange:
    """What is known of the request so far. Belongs to the request's thread."""

    context: RequestContext
    method: str
    path: str
    user_agent: str
    admitted: bool
    started: float = field(default_factory=time.monotonic)
    first_byte: float | None = None
    status: int = 0
    sent_bytes: int = 0
    _facts: list[Callable[[], dict[str, Any]]] = field(default_factory=list)

    def add_facts(self, facts: Callable[[], dict[str, Any]]) -> None:
        """Ask this at the end for what else belongs into `response_complete`."""
        self._facts.append(facts)

    def facts(self) -> dict[str, Any]:
        """All of them."""
        return {name: value for facts in self._facts for name, value in facts().items()}

    def know(self, *, user: str = "", agent: str = "", stream_id: str = "") -> None:
        """Put these on this and every later entry of the request."""
        known = self.context
        self.context = replace(
            known,
            user=user or known.user,
            agent=agent or known.agent,
            stream_id=stream_id or known.stream_id,
        )
        CURRENT.set(self.context)


def exchange() -> Exchange:
    """The exchange of Flask's current request."""
    current: Exchange = request.environ[ENVIRON_KEY]
    return current


class Lifecycle:
    """WSGI middleware. `capacity` requests are served at once; beyond them only /health is, the rest is not admitted."""

    def __init__(self, app: "WSGIApplication", capacity: int) -> None:
        self._app = app
        self._slots = threading.BoundedSemaphore(capacity)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request."""
        needs_slot = environ.get("PATH_INFO") != HEALTH_PATH
        holds_slot = needs_slot and self._slots.acquire(blocking=False)
        current = _open(environ, admitted=holds_slot or not needs_slot)
        environ[ENVIRON_KEY] = current
        token = CURRENT.set(current.context)

        def release() -> None:
            if holds_slot:
                self._slots.release()
            _write_complete(current)
            CURRENT.reset(token)

        body = _Body(current, release)
        try:
            entries.write(entries.REQUEST_RECEIVED, f"{current.method} {current.path}")
            body.source = self._app(environ, _with_ids(current, start_response))
        except BaseException:
            body.close()
            raise
        return body


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
            self._exchange.sent_bytes += len(data)
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


def _open(environ: "WSGIEnvironment", *, admitted: bool) -> Exchange:
    asked = environ.get("HTTP_X_CORRELATION_ID", ""), environ.get("HTTP_X_REQUEST_ID", "")
    context = RequestContext(
        request_id=str(uuid.uuid4()),
        correlation_id=next(filter(_SANE_TOKEN.fullmatch, asked), "") or str(uuid.uuid4()),
        trace=trace_from(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_X_CLOUD_TRACE_CONTEXT")),
    )
    return Exchange(
        context=context,
        method=environ.get("REQUEST_METHOD", ""),
        path=environ.get("PATH_INFO", ""),
        user_agent=environ.get("HTTP_USER_AGENT", ""),
        admitted=admitted,
    )


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
        **current.facts(),
    )
