"""The `Idempotency-Key` header, as a claim, and what it means for a stored turn."""

import hashlib
import re
from typing import Any

import orjson
from flask import Request

from sluice_service.chat.conversations import Wanted, new_conversation_id
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


def wanted_of(conversation_id: str | None, claim: Claim | None, stream_id: str, *, with_history: bool) -> Wanted:
    """That the turn shall be stored, in a new conversation when none is named.

    Under a claim the turn's name is the claim's: a failed answer that is replaced doubles no message.
    """
    turn_id = hashlib.sha256("\n".join(claim.name).encode("utf-8", "surrogatepass")).hexdigest()[:32] if claim else stream_id
    return Wanted(conversation_id or new_conversation_id(), turn_id, with_history)
