"""What is known of one request, from its first byte to its last."""

import re
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flask import request

from sluice_service.telemetry.context import CURRENT, RequestContext
from sluice_service.telemetry.redaction import MIN_SECRET_CHARACTERS, REDACTED
from sluice_service.telemetry.trace import trace_from

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SIMPLE_ROUTES = ("/chat", "/chat/stream", "/chat/onboarding-stream")
"""Where errors have the simple API's shape. Not below them: an OpenAI client without /v1 asks at /chat/completions."""

ENVIRON_KEY = "sluice.exchange"

_SANE_TOKEN = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(slots=True, eq=False)
class Exchange:
    """What is known of the request so far. Belongs to the request's thread."""

    context: RequestContext
    method: str
    path: str
    user_agent: str
    credentials: str
    """What stands after the scheme in the Authorization header, whether or not it is a key."""
    refused_with: str | None
    """The code with which it must be refused; None when it was admitted."""
    connection: socket.socket | None
    error_shape: str = "openai"
    """How an error is told: `openai`, `simple`, or `event` for an EventSource that is already listening."""
    started: float = field(default_factory=time.monotonic)
    first_byte: float | None = None
    status: int = 0
    sent_bytes: int = 0
    _facts: list[Callable[[], dict[str, Any]]] = field(default_factory=list)

    def count_sent(self, size_bytes: int) -> None:
        """So much more of the body has been sent."""
        self.sent_bytes += size_bytes

    def add_facts(self, facts: Callable[[], dict[str, Any]]) -> None:
        """Ask this at the end for what else belongs into `response_complete`."""
        self._facts.append(facts)

    def take_facts(self) -> dict[str, Any]:
        """All of them, once: they hold the answer, which holds this."""
        asked, self._facts = self._facts, []
        return {name: value for facts in asked for name, value in facts().items()}

    def know(self, *, user: str = "", agent: str = "", stream_id: str = "", key: str = "") -> None:
        """Put these on this and every later entry of the request."""
        known = self.context
        self.context = replace(
            known,
            user=user or known.user,
            agent=agent or known.agent,
            stream_id=stream_id or known.stream_id,
            key=key or known.key,
        )
        CURRENT.set(self.context)


def exchange() -> Exchange:
    """The exchange of Flask's current request."""
    current: Exchange = request.environ[ENVIRON_KEY]
    return current


def exchange_of(environ: "WSGIEnvironment") -> Exchange:
    """The exchange that a request begins, with its ids: the caller's own correlation id where it is a sane token."""
    credentials = environ.get("HTTP_AUTHORIZATION", "").rpartition(" ")[2]
    asked = (environ.get(name, "") for name in ("HTTP_X_CORRELATION_ID", "HTTP_X_REQUEST_ID"))
    sane = (token for token in asked if _SANE_TOKEN.fullmatch(token) and token == _without(credentials, token))
    context = RequestContext(
        request_id=str(uuid.uuid4()),
        correlation_id=next(sane, "") or str(uuid.uuid4()),
        trace=trace_from(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_X_CLOUD_TRACE_CONTEXT")),
    )
    return Exchange(
        context=context,
        method=environ.get("REQUEST_METHOD", ""),
        path=_without(credentials, environ.get("PATH_INFO", "")),
        user_agent=_without(credentials, environ.get("HTTP_USER_AGENT", "")),
        credentials=credentials,
        refused_with=None,
        error_shape="simple" if environ.get("PATH_INFO") in SIMPLE_ROUTES else "openai",
        connection=environ.get("gunicorn.socket"),
    )


def _without(credentials: str, text: str) -> str:
    """What is logged before anybody has looked at the credentials: people do paste keys into addresses."""
    return text.replace(credentials, REDACTED) if len(credentials) >= MIN_SECRET_CHARACTERS else text
