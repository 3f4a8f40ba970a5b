"""Request bodies, read within bounds of size, time and depth."""

import time
from typing import TYPE_CHECKING, Any

import orjson
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]  # gunicorn ships no types
from werkzeug.wsgi import get_content_length

from sluice_wire.errors import SluiceError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

READ_TIMEOUT_SECONDS = 20.0
MAX_DEPTH = 64
"""Nested lists and objects: far more than any tool's schema needs, far less than what recursion can bear."""

_PIECE_BYTES = 1 << 16


def read_json(environ: "WSGIEnvironment", max_bytes: int) -> dict[str, Any]:
    """The JSON object in the body.

    Raises `unsupported_media_type`, `request_too_large`, `request_timeout`, and `invalid_request` for a body that breaks
    off and for all that is not JSON by RFC 8259: NaN, lone surrogates, invalid UTF-8.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise SluiceError("unsupported_media_type", content_type=content_type or "of no stated type")
    raw = _read(environ, max_bytes)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise SluiceError("invalid_request", param="body", problem=f"the body is not valid JSON ({error}).") from None
    if not isinstance(body, dict):
        raise SluiceError("invalid_request", param="body", problem="the body is not a JSON object.")
    if _deeper_than(MAX_DEPTH, body):
        raise SluiceError("invalid_request", param="body", problem=f"it is nested deeper than {MAX_DEPTH} levels.")
    return body


def _read(environ: "WSGIEnvironment", max_bytes: int) -> bytes:
    length = get_content_length(environ)
    if length is not None and length > max_bytes:
        raise SluiceError("request_too_large", limit_bytes=max_bytes)
    connection = environ.get("gunicorn.socket")
    deadline = time.monotonic() + READ_TIMEOUT_SECONDS
    pieces: list[bytes] = []
    left = max_bytes + 1 if length is None else length
    try:
        while left > 0 and (piece := _read_piece(environ, connection, deadline, min(left, _PIECE_BYTES))):
            pieces.append(piece)
            left -= len(piece)
    except TimeoutError:
        raise SluiceError("request_timeout", seconds=READ_TIMEOUT_SECONDS) from None
    except (OSError, ParseException):
        problem = "it breaks off, or its chunks are not framed as HTTP asks."
        raise SluiceError("invalid_request", param="body", problem=problem) from None
    finally:
        if connection is not None:
            connection.settimeout(None)
    if length is None and left <= 0:
        raise SluiceError("request_too_large", limit_bytes=max_bytes)
    return b"".join(pieces)


def _read_piece(environ: "WSGIEnvironment", connection: Any, deadline: float, size: int) -> bytes:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    if connection is not None:
        connection.settimeout(remaining)
    piece: bytes = environ["wsgi.input"].read(size)
    return piece


def _deeper_than(limit: int, body: object) -> bool:
    level = [body]
    for _ in range(limit):
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(node: object) -> Any:
    return node.values() if isinstance(node, dict) else node
