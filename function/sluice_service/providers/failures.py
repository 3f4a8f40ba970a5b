"""How an upstream call failed, told as our error codes.

LostConnection before a reply            upstream_unavailable; inside one: upstream_truncated
a refusal, ErrorChunk                    by what was said: see `refusals`
zlib.error, InvalidChunk, EventTooLong   upstream_invalid_response
a request that JSON cannot hold          upstream_rejected
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sluice_service.providers.event_stream import parse_json
from sluice_service.providers.refusals import Refusal, retry_after_seconds
from sluice_wire.chunks import ErrorChunk, InvalidChunk
from sluice_wire.decoder import EventTooLong


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call failed. `said` is upstream's own text or the library's: for the log alone."""

    code: str
    said: str
    retry_after_seconds: float | None = None


def refusal_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """What a reply stands for whose status is not one of success. `body` may be the start of it."""
    text = body.decode("utf-8", "replace")
    try:
        error = parse_json(body)
    except InvalidChunk:
        error = text.strip()
    return Failure(Refusal.from_error(error, status).code, f"{status}: {text}", retry_after_seconds(headers, now))


def failure_of(error: EventTooLong | ErrorChunk | InvalidChunk | zlib.error) -> Failure:
    """What an exception stands for that was raised by reading an answer."""
    if isinstance(error, ErrorChunk):
        return Failure(Refusal.from_error(error.error).code, str(error.error))
    return Failure("upstream_invalid_response", f"{type(error).__name__}: {error}")
