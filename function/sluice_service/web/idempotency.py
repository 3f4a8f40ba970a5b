"""The `Idempotency-Key` header, as a claim."""

import hashlib
import re
from typing import Any

import orjson
from flask import Request

from sluice_service.generation.claims import Claim
from sluice_wire.errors import SluiceError

_SANE_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def claim_of(request: Request, owner: str, body: dict[str, Any]) -> Claim | None:
    """The claim that the request makes on its body; None without the header. Raises `invalid_request`."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _SANE_KEY.fullmatch(key):
        problem = "Idempotency-Key must be 1 to 255 visible ASCII characters."
        raise SluiceError("invalid_request", param="Idempotency-Key", problem=problem)
    # Sorted, since two encodings of one request are the same request.
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
    return Claim(owner, request.path, key, digest)
