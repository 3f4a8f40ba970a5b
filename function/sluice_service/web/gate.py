"""Who gets in: admission, then authentication, for every route but the open ones, before anything of the body is read."""

from flask import Flask, g, request

from sluice_service.web.auth import Keys, Principal
from sluice_service.web.exchange import exchange
from sluice_wire.errors import SluiceError

OPEN_ENDPOINTS = frozenset({"health", "openapi", "page"})
TICKET_ENDPOINTS = frozenset({"chat_stream", "onboarding_stream"})
"""Their routes open the ticket in the address: EventSource can send no header."""

WITHOUT_HEAD = TICKET_ENDPOINTS | {"stream"}
"""GET routes that start or follow a stream: HEAD, which Flask adds to every GET, must not."""

RETRY_AFTER_SECONDS = 1.0


def guard(app: Flask, keys: Keys) -> None:
    """Refuse whoever is too many or unknown; unknown addresses included, so that nobody can explore without a key."""

    @app.before_request
    def enter() -> None:
        refused_with = exchange().refused_with
        if refused_with is not None:
            raise SluiceError(refused_with, retry_after_seconds=RETRY_AFTER_SECONDS)
        if request.method == "HEAD" and request.endpoint in WITHOUT_HEAD:
            raise SluiceError("method_not_allowed", method="HEAD", path=request.path)
        if request.endpoint not in OPEN_ENDPOINTS | TICKET_ENDPOINTS:
            g.principal = keys.authenticate(request.headers.get("Authorization"))
            exchange().know(user=g.principal.user, key=exchange().credentials)


def principal() -> Principal:
    """The caller of Flask's current request."""
    known: Principal = g.principal
    return known
