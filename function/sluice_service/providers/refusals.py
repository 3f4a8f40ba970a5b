"""What an upstream says when it refuses or fails, told as one of our error codes. No I/O.

Sources: OpenAI's guide "Error codes" and the error texts of Azure OpenAI, OpenRouter, Gemini's OpenAI endpoint, vLLM,
llama.cpp, Ollama, Groq and GitHub Models. Rules are tried from the most telling to the least: names that leave no
doubt, the text of a context overflow, the HTTP status, names that only matter where there is no status.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

MAX_RETRY_AFTER_SECONDS = 86_400.0
_MAX_TEXT_CHARACTERS = 4_000
_STATUS = re.compile(r"[45][0-9]{2}")
_NAMING_KEYS = ("code", "type", "status", "reason")

_DECISIVE_NAMES = {
    "content_filter": "content_filtered",
    "content_filtered": "content_filtered",
    "content_policy_violation": "content_filtered",
    "responsibleaipolicyviolation": "content_filtered",
    "context_length_exceeded": "context_length_exceeded",
    "exceed_context_size_error": "context_length_exceeded",
    "tokens_limit_reached": "context_length_exceeded",
    "insufficient_quota": "upstream_quota_exhausted",
    "billing_hard_limit_reached": "upstream_quota_exhausted",
    "billing_not_active": "upstream_quota_exhausted",
    "invalid_api_key": "upstream_auth_failed",
    "api_key_invalid": "upstream_auth_failed",
}

_CONTEXT_TEXTS = (
    "maximum context length",  # OpenAI, vLLM, OpenRouter
    "maximum model length",  # vLLM
    "input token count",  # Gemini: "The input token count (…) exceeds the maximum number of tokens allowed (…)."
    "context length",  # Ollama: "the input length exceeds the context length"
    "context size",  # llama.cpp
    "context window",
    "prompt is too long",
    "prompt too long",  # Ollama: "prompt too long; exceeded max context length by … tokens"
)

# 500: Ollama reports an overflow so. None: an error event without a number.
_CONTEXT_STATUSES = frozenset({None, 400, 413, 422, 500})

_STATUSES = {
    401: "upstream_auth_failed",
    402: "upstream_quota_exhausted",
    403: "upstream_auth_failed",
    407: "upstream_auth_failed",
    408: "upstream_unavailable",
    # Too large in bytes or, at Groq, in tokens: what helps is the same, to leave out older messages.
    413: "context_length_exceeded",
    429: "upstream_rate_limited",
    503: "upstream_overloaded",
    529: "upstream_overloaded",
}

# Redirects, which are never followed, and whatever else is not an answer are in neither class.
_CLASSES = {4: "upstream_rejected", 5: "upstream_unavailable"}

_NAMES_WITHOUT_STATUS = {
    "rate_limit_exceeded": "upstream_rate_limited",
    "rate_limit_error": "upstream_rate_limited",
    "resource_exhausted": "upstream_rate_limited",
    "too_many_requests": "upstream_rate_limited",
    "overloaded_error": "upstream_overloaded",
    "overloaded": "upstream_overloaded",
    "unavailable": "upstream_overloaded",
    "authentication_error": "upstream_auth_failed",
    "permission_error": "upstream_auth_failed",
    "invalid_request_error": "upstream_rejected",
    "badrequesterror": "upstream_rejected",
    "invalid_argument": "upstream_rejected",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The parts of an upstream's error that tell failures apart, in lower case; `status` is an HTTP status or None."""

    status: int | None
    names: tuple[str, ...] = ()
    text: str = ""
    flagged: bool = False

    @classmethod
    def from_error(cls, error: object, status: int | None = None) -> "Refusal":
        """From an error object, or whatever stood in its place, and the reply's status.

        Without a status the number in the object's `code` or `status` counts as one, as OpenRouter and Gemini mean it.
        """
        fields = _fields(error)
        numbers = [number for key in ("code", "status") if (number := _http_status(fields.get(key)))]
        return cls(
            status=status or next(iter(numbers), None),
            names=tuple(name.lower() for name in _names(fields)),
            text=" ".join(_texts(fields))[:_MAX_TEXT_CHARACTERS].lower(),
            flagged=_is_flagged(fields),
        )

    @property
    def code(self) -> str:
        """The error code: one of `sluice_wire.errors`."""
        decisive = next((_DECISIVE_NAMES[name] for name in self.names if name in _DECISIVE_NAMES), None)
        if decisive or self.flagged:
            return decisive or "content_filtered"
        if self.status in _CONTEXT_STATUSES and any(text in self.text for text in _CONTEXT_TEXTS):
            return "context_length_exceeded"
        if self.status == 400 and "api key not valid" in self.text:  # Gemini
            return "upstream_auth_failed"
        if self.status is not None:
            return _STATUSES.get(self.status) or _CLASSES.get(self.status // 100, "upstream_invalid_response")
        weak = (_NAMES_WITHOUT_STATUS[name] for name in self.names if name in _NAMES_WITHOUT_STATUS)
        return next(weak, "upstream_unavailable")


def _fields(error: object) -> Mapping[str, Any]:
    if isinstance(error, list) and error:  # Gemini puts the error body into a list
        error = error[0]
    if isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    return error if isinstance(error, dict) else {"message": error}


def _http_status(value: object) -> int | None:
    # A string too: "429" is a code as well as 429.
    matched = _STATUS.fullmatch(str(value)) if isinstance(value, int | str) else None
    return int(matched[0]) if matched else None


def _names(fields: Mapping[str, Any]) -> Iterator[str]:
    inner = fields.get("innererror")
    details = fields.get("details")
    for holder in (fields, inner, *(details if isinstance(details, list) else ())):
        if isinstance(holder, dict):
            yield from (name for key in _NAMING_KEYS if isinstance(name := holder.get(key), str))


def _texts(fields: Mapping[str, Any]) -> Iterator[str]:
    metadata = fields.get("metadata")
    # OpenRouter says "Provider returned error"; what that provider said stands in metadata.raw.
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    yield from (text for text in (fields.get("message"), fields.get("detail"), raw) if isinstance(text, str))


def _is_flagged(fields: Mapping[str, Any]) -> bool:
    metadata = fields.get("metadata")
    # OpenRouter's moderation: 403, with the reasons and the part of the message that was flagged.
    return isinstance(metadata, dict) and bool(metadata.get("reasons") or metadata.get("flagged_input"))


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long upstream asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date; None: unsaid."""
    for name, unit_seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, ""))
        if seconds is not None:
            return min(seconds * unit_seconds, MAX_RETRY_AFTER_SECONDS)
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, OverflowError):
        return None
    # A date without a zone is in UTC (RFC 9110, section 5.6.7 knows GMT alone).
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
