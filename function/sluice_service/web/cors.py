"""Cross-origin requests: preflights answered, allowed origins told so. Never with credentials, so `*` is harmless.

Source: WHATWG Fetch, section 3.3 "CORS protocol".
"""

from collections.abc import Sequence

from flask import Flask, Response, request

EXPOSED = (
    "x-request-id, x-correlation-id, x-stream-id, x-should-retry, retry-after, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests"
)


def allow_origins(app: Flask, origins: Sequence[str]) -> None:
    """Answer every OPTIONS request, and put the CORS headers on every response."""

    @app.before_request
    def preflight() -> Response | None:
        return Response(status=204) if request.method == "OPTIONS" else None

    @app.after_request
    def allow(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        if origin and ("*" in origins or origin in origins):
            response.headers["access-control-allow-origin"] = "*" if "*" in origins else origin
            response.headers["access-control-expose-headers"] = EXPOSED
            if request.method == "OPTIONS":
                _allow_method(response)
        if "*" not in origins:
            response.vary.add("Origin")
        return response


def _allow_method(response: Response) -> None:
    response.headers["access-control-allow-methods"] = "GET, POST, PATCH, DELETE"
    # Named, since `*` does not cover Authorization.
    asked = request.headers.get("Access-Control-Request-Headers", "")
    response.headers["access-control-allow-headers"] = asked or "authorization, content-type"
    response.headers["access-control-max-age"] = "7200"
