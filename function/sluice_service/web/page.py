"""`GET /` and `/page/…`: the chat for a browser. Its few files are read when they are first asked for.

Source: W3C Content Security Policy Level 3 and Trusted Types; RFC 9110, section 8.8.3 (ETag).
"""

import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flask import Response, request

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
"""Nothing inline, nothing from elsewhere, and no text that becomes markup or code, whoever wrote it."""

HEADERS = {
    "content-security-policy": "; ".join(f"{directive} {allowed}" for directive, allowed in POLICY.items()),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cache-control": "no-cache",  # kept by the browser, and asked for anew by its ETag
}
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"

_UNSENT = {
    ".html": [rb"(?m)^\s+"],
    ".css": [rb"(?<=[{};:,])\s+|;?\s+(?=})|\s+(?={)"],
    ".js": [
        rb"(?m)^\s*(?://|/?\*).*\n|^\s+|(?<=;) // .*",
        rb'("[^"\n]*"|`[^`\n]*`)|'
        rb"(?<=[{};,([])\n| ([=&|?:+*<>!]{1,3}) |(?<=[\w)]) (?=[{])"
        rb"|(?:(?<=\bif)|(?<=\bfor)) (?=[(])|(?<=[{},]) | (?=})|(?<=\w:) ",
    ],
    ".svg": [rb"(?m)^\s+"],
}
"""Comments, and white space that no browser needs: a fifth less to send. What is in a group stays.

Of a script, outside its strings: the end of a line where no statement ends without its semicolon or brace, and the space
beside an operator, at braces, and behind a comma, a name's colon, `if` or `for`. So no string may span lines, and no
regular expression may have such a space.
"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


class Page:
    """The files of a folder: its index.html at `/`, the others below `/page/`."""

    def __init__(self, folder: Path) -> None:
        self._paths = {_address(path): path for path in folder.iterdir() if path.suffix in CONTENT_TYPES}

    @property
    def addresses(self) -> Iterable[str]:
        """Where they are served."""
        return self._paths.keys()

    def show(self) -> Response:
        """The file at the request's address, or 304 where the browser has it already."""
        file = _read(self._paths[request.path])
        response = Response(file.body, content_type=file.content_type, headers=HEADERS)
        response.set_etag(file.etag)
        response.make_conditional(request)
        return response


def _address(path: Path) -> str:
    return "/" if path.name == INDEX else f"/page/{path.name}"


@functools.cache
def _read(path: Path) -> _File:
    # Not at the start: making them smaller takes 7 ms, and most instances are never asked for them.
    body = path.read_bytes()
    for unsent in _UNSENT[path.suffix]:
        body = re.sub(unsent, lambda found: b"".join(found.groups(b"")), body)
    return _File(body, CONTENT_TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32])
