"""Pages and their cursors.

A cursor is the position after which the next page begins, with a digest of the list that it belongs to. The digest finds
mistakes; it protects nothing, and need not: whoever forges a position still sees only what is theirs.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sluice_wire.errors import SluiceError

Row = TypeVar("Row")

_DIGEST_BYTES = 12
MAX_CURSOR_CHARACTERS = 1024


def encode(position: list[Any], *scope: str) -> str:
    """A cursor for the list that `scope` names: the kind of list, its user, its conversation."""
    payload = json.dumps(position).encode("ascii")
    return base64.urlsafe_b64encode(_digest(payload, scope) + payload).decode("ascii").rstrip("=")


def decode(cursor: str | None, start: list[Any], *scope: str) -> list[Any]:
    """The position in a cursor; `start` for None. Raises `invalid_request` for anything that `encode` did not make."""
    if cursor is None:
        return start
    raw = _bytes(cursor)
    digest, payload = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if digest != _digest(payload, scope):
        raise SluiceError("invalid_request", param="cursor", problem="This cursor was not given out for this list.")
    position: list[Any] = json.loads(payload)
    return position


def taken(rows: Iterable[Row], limit: int, max_size: int, size: Callable[[Row], int]) -> tuple[list[Row], bool]:
    """The rows of one page, and whether there are more: at most `limit`, of at most `max_size` together, but at least one.

    Reads one row more than it takes, and no further.
    """
    page: list[Row] = []
    total = 0
    for row in rows:
        total += size(row)
        if page and (len(page) == limit or total > max_size):
            return page, True
        page.append(row)
    return page, False


def fitting(rows: Iterable[Row], max_size: int, size: Callable[[Row], int]) -> list[Row]:
    """The first rows that fit together, possibly none; reads no further than the first that does not."""
    kept: list[Row] = []
    for row in rows:
        max_size -= size(row)
        if max_size < 0:
            break
        kept.append(row)
    return kept


def _bytes(cursor: str) -> bytes:
    """What the cursor spells; nothing when it is not base64."""
    try:
        padded = cursor[:MAX_CURSOR_CHARACTERS].encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""


def _digest(payload: bytes, scope: tuple[str, ...]) -> bytes:
    return hashlib.sha256(json.dumps(scope).encode("ascii") + payload).digest()[:_DIGEST_BYTES]
