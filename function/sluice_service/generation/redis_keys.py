"""Names and packing of what stands in Redis. Every key expires, so that an instance that dies leaves nothing for long."""

import hashlib
from collections.abc import Sequence

from sluice_service.generation.claims import Claim

# Frames are JSON in ASCII: NUL stands in none of them.
_SEPARATOR = b"\0"


def frames_key(stream_id: str) -> str:
    """A Redis Stream: batches of frames; an entry's id is the number of its last frame."""
    return f"sluice:frames:{stream_id}"


def about_key(stream_id: str) -> str:
    """A hash: what a reader elsewhere must know of the stream besides its frames."""
    return f"sluice:about:{stream_id}"


def lease_key(instance: str) -> str:
    """Exists while the instance is alive."""
    return f"sluice:lease:{instance}"


def inbox_key(instance: str) -> str:
    """A Redis Stream: what other instances ask of this one."""
    return f"sluice:inbox:{instance}"


def claim_key(claim: Claim) -> str:
    """What stands under an idempotency key. Hashed, since the parts are the caller's."""
    name = "\n".join(claim.name).encode("utf-8", "surrogatepass")
    return f"sluice:claim:{hashlib.sha256(name).hexdigest()}"


def packed(frames: Sequence[bytes]) -> bytes:
    """Frames as one value."""
    return _SEPARATOR.join(frames)


def unpacked(value: bytes) -> list[bytes]:
    """And back."""
    return value.split(_SEPARATOR) if value else []
