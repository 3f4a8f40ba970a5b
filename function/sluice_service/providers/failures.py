"""Foreign exceptions of an upstream call, told as our error codes: `openai`'s, httpx2's and the wire format's.

openai.OpenAIError          before the first byte of an answer
├─ APIStatusError           by what was said: see `refusals`
├─ APIConnectionError       upstream_unavailable
└─ all others               upstream_unavailable; APIResponseValidationError: upstream_invalid_response
httpx2.TransportError …     inside an answer: upstream_truncated
httpx2.DecodingError, InvalidChunk, EventTooLong
                            upstream_invalid_response
ErrorChunk                  by what was said: see `refusals`
ValueError, RecursionError  the request cannot be written as JSON: upstream_rejected
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import httpx2
import openai

from sluice_service.providers.refusals import Refusal, retry_after_seconds
from sluice_wire.chunks import ErrorChunk, InvalidChunk
from sluice_wire.decoder import EventTooLong

# What httpx2 raises for a connection that broke; the last two reach it from anyio's TLS and are not mapped.
LOST_CONNECTION = (httpx2.TransportError, ssl.SSLError, anyio.EndOfStream)
NO_REQUEST = (ValueError, RecursionError)
UNREADABLE = (httpx2.DecodingError, InvalidChunk, EventTooLong)

_CODES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((openai.APIResponseValidationError, *UNREADABLE), "upstream_invalid_response"),
    ((openai.OpenAIError,), "upstream_unavailable"),
    (LOST_CONNECTION, "upstream_truncated"),
    (NO_REQUEST, "upstream_rejected"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call failed. `said` is upstream's own text or the library's: for the log alone."""

    code: str
    said: str
    retry_after_seconds: float | None = None


def failure_of(error: Exception) -> Failure:
    """The failure that an exception stands for. Raises the exception itself if it is none of an upstream call."""
    if isinstance(error, openai.APIStatusError):
        wait = retry_after_seconds(error.response.headers, datetime.now(UTC))
        code = Refusal.from_error(error.body, error.status_code).code
        return Failure(code, f"{error.status_code}: {error.response.text}", wait)
    if isinstance(error, ErrorChunk):
        return Failure(Refusal.from_error(error.error).code, str(error.error))
    for classes, code in _CODES:
        if isinstance(error, classes):
            return Failure(code, _said(error))
    raise error


def _said(error: Exception) -> str:
    cause = error.__cause__ or error
    # The text of an error about the request can hold a message.
    withheld = isinstance(error, NO_REQUEST) and not isinstance(error, UNREADABLE)
    return type(cause).__name__ if withheld else f"{type(cause).__name__}: {cause}"
