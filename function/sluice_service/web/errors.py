"""Every error as an OpenAI-shaped JSON response, and every exception as one of our errors."""

import math
from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from sluice_service.quotas.base import LimitReached, rate_limit_headers
from sluice_service.telemetry.errors import write_error
from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.event_dialect import error_event
from sluice_service.web.exchange import exchange
from sluice_service.web.simple_dialect import simple_error
from sluice_wire.errors import SluiceError

JSON_TYPE = "application/json"
MAX_WAIT_SECONDS = 60
STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


def error_response(error: SluiceError) -> Response:
    """The response for an error that has already been logged."""
    current = exchange()
    current.add_facts(lambda: {"error_type": error.code})
    correlation_id = current.context.correlation_id
    if current.error_shape == "event":
        return Response(error_event(error, correlation_id), headers=STREAM_HEADERS)
    simple = current.error_shape == "simple"
    told = simple_error(error, correlation_id) if simple else error.report(correlation_id).to_openai()
    response = Response(ascii_json(told), status=error.kind.status, content_type=JSON_TYPE)
    response.headers["cache-control"] = "no-store"
    if isinstance(error, LimitReached):
        response.headers.update(rate_limit_headers(error.standing))
    wait_seconds = error.retry_after_seconds
    if not error.kind.retryable or (wait_seconds is not None and wait_seconds > MAX_WAIT_SECONDS):
        # The OpenAI SDKs retry some statuses by themselves unless they are told not to, and overlook a longer wait.
        response.headers["x-should-retry"] = "false"
    if wait_seconds is not None:
        response.headers["retry-after"] = str(math.ceil(wait_seconds))
    if error.kind.status == 401:
        known = ', error="invalid_token"' if error.code == "invalid_credentials" else ""
        response.headers["www-authenticate"] = f'Bearer realm="sluice"{known}'
    return response


def handle_errors(app: Flask) -> None:
    """Let no exception leave the app in another form."""

    @app.errorhandler(SluiceError)
    def known(error: SluiceError) -> Response:
        write_error(error)
        return error_response(error)

    @app.errorhandler(HTTPException)
    def of_flask(error: HTTPException) -> Response:
        response = known(_TRANSLATED.get(type(error), _invalid)(error))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["allow"] = ", ".join(sorted(error.valid_methods))
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        fault = SluiceError("internal_error")
        write_error(fault, error)
        return error_response(fault)


def _not_found(_: HTTPException) -> SluiceError:
    return SluiceError("not_found", path=request.path)


def _method_not_allowed(_: HTTPException) -> SluiceError:
    return SluiceError("method_not_allowed", method=request.method, path=request.path)


def _invalid(error: HTTPException) -> SluiceError:
    return SluiceError("invalid_request", param="request", problem=f"{error.name}.")


_TRANSLATED: dict[type[HTTPException], Callable[[HTTPException], SluiceError]] = {
    NotFound: _not_found,
    MethodNotAllowed: _method_not_allowed,
}
