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

    Under a claim both are named after it: a failed answer that is replaced doubles neither message nor conversation.
    """
    if claim is None:
        return Wanted(conversation_id or new_conversation_id(), stream_id, with_history)
    return Wanted(conversation_id or _name(claim, "conversation"), _name(claim, "turn"), with_history)


def _name(claim: Claim, kind: str) -> str:
    """What the same request has again, and no other: a key may be used anew when its claim has expired."""
    parts = (kind, *claim.name, claim.digest.hex())
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
