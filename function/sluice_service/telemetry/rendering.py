"""From a log record to a clean entry, and from an entry to the readable line.

Everything that reaches an entry passes through here: it is redacted, control characters become visible, and depth and
length are bounded.
"""

import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sluice_service.telemetry.context import CURRENT, RequestContext
from sluice_service.telemetry.escaping import visible
from sluice_service.telemetry.redaction import MIN_SECRET_CHARACTERS, REDACTED, is_sensitive_name
from sluice_service.telemetry.trace import Trace

Redact = Callable[[str], str]

MAX_DEPTH = 6
MAX_FIELD_CHARACTERS = 96 * 1024
"""All fields of one entry together."""

MAX_NAME_CHARACTERS = 256
MAX_FRAMES = 30
_COST_OF_A_VALUE = 16
_LARGEST_NUMBER = 2**63
FAMILIAR_NAMES = frozenset(
    [
        "agent",
        "attempt",
        "chunks",
        "client_disconnected",
        "code",
        "correlation_id",
        "delivery_ms",
        "duration_ms",
        "error_type",
        "event",
        "generation_ms",
        "httpRequest",
        "latency",
        "max_gap_ms",
        "message_count",
        "message_id",
        "persisted",
        "reason",
        "request_id",
        "requestMethod",
        "requestUrl",
        "responseSize",
        "resumed",
        "sequence",
        "status",
        "stream",
        "stream_id",
        "time_to_first_token_ms",
        "user",
        "userAgent",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.response.finish_reasons",
    ]
)
"""Names of our own that hold no secret, and are not looked at again: half of the time that cleaning an entry takes."""

_LEFT_OUT = "(left out: the entry is too long)"
_BARE = re.compile(r'[^\s="]+')
_SEVERITIES = (
    (logging.CRITICAL, "CRITICAL"),
    (logging.ERROR, "ERROR"),
    (logging.WARNING, "WARNING"),
    (logging.INFO, "INFO"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, clean: safe to show in a terminal and to send to Cloud Logging.

    `time` is UTC, ISO 8601 with microseconds and `Z`. `exception` is the formatted traceback, "" without one; it alone
    keeps its line feeds. `fields` are JSON values.
    """

    time: str
    severity: str
    event: str
    message: str
    fields: dict[str, Any]
    trace: Trace | None
    exception: str

    def shortened(self) -> "Entry":
        """The same entry without its long texts, for a log that takes entries up to a certain size."""
        short = {name: value for name, value in self.fields.items() if len(str(value)) <= 256}
        return replace(self, message=self.message[:1024], fields=short, exception=self.exception[-4096:])


def entry_of(record: logging.LogRecord, redact: Redact) -> Entry:
    """The entry for a record of any library. `json_fields` on it, a mapping, are its fields."""
    context = CURRENT.get()
    redact = _hiding(context.key, redact) if context else redact
    fields = _Cleaner(redact).fields({**_context_fields(context), **(getattr(record, "json_fields", None) or {})})
    return Entry(
        time=datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        severity=_severity(record.levelno),
        event=str(fields.pop("event", record.name)),
        message=visible(redact(record.getMessage())),
        fields=fields,
        trace=context.trace if context else None,
        exception=visible(redact(_exception_text(record)), keep_line_feeds=True),
    )


def readable_line(entry: Entry) -> str:
    """`time SEVERITY event message key=value …`, always one line; what could be mistaken for a field is quoted."""
    message = entry.message if not re.search('[="]', entry.message) else json.dumps(entry.message, ensure_ascii=False)
    fields = dict(entry.fields)
    if entry.trace:
        fields["trace"] = entry.trace.trace_id
    if entry.exception:
        fields["exception"] = entry.exception
    pairs = (f"{_bare_or_quoted(name)}={_bare_or_quoted(value)}" for name, value in fields.items())
    return " ".join((entry.time, entry.severity, _bare_or_quoted(entry.event), message, *pairs))


class _Cleaner:
    """Makes JSON values of anything, within one entry's budget of characters."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact
        self._left = MAX_FIELD_CHARACTERS

    def fields(self, values: Mapping[Any, object], depth: int = 0) -> dict[str, Any]:
        clean: dict[str, Any] = {}
        for name, value in values.items():
            # The entry's own fields are all told, the short ones whole: they come from our code, and are few.
            if self._left <= 0 and depth:
                return {**clean, "left_out": _LEFT_OUT}
            plain = _plain(name)
            if plain in FAMILIAR_NAMES:
                clean[plain] = self._value(value, depth)
                continue
            shown = visible(self._redact(plain))[:MAX_NAME_CHARACTERS]
            clean[shown] = REDACTED if is_sensitive_name(plain) else self._value(value, depth)
        return clean

    def _value(self, value: object, depth: int) -> Any:
        self._left -= _COST_OF_A_VALUE
        if type(value) is str:
            return self._text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER:
            return value
        if isinstance(value, Mapping | Sequence | Set) and not isinstance(value, str | bytes | bytearray):
            return self._container(value, depth + 1)
        return self._text(value)

    def _container(self, value: Mapping[Any, object] | Sequence[object] | Set[object], depth: int) -> Any:
        if depth > MAX_DEPTH:
            return "(left out: too deep)"
        if isinstance(value, Mapping):
            return self.fields(value, depth)
        return self._items(value, depth)

    def _items(self, values: Sequence[object] | Set[object], depth: int) -> list[Any]:
        if isinstance(values, Sequence) and len(values) == 2 and is_sensitive_name(_plain(values[0])):
            return [self._text(values[0]), REDACTED]
        clean: list[Any] = []
        for value in values:
            if self._left <= 0:
                return [*clean, _LEFT_OUT]
            clean.append(self._value(value, depth))
        return clean

    def _text(self, value: object) -> str:
        if self._left <= 0:
            return _LEFT_OUT
        text = visible(self._redact(_plain(value)))
        self._left -= len(text)
        return text


def _hiding(key: str, redact: Redact) -> Redact:
    if len(key) < MIN_SECRET_CHARACTERS:
        return redact
    return lambda text: redact(text.replace(key, REDACTED))


def _plain(value: object) -> str:
    if type(value) is str:
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    if isinstance(value, int) and abs(value) >= _LARGEST_NUMBER:
        return f"(a number of {value.bit_length()} bits)"
    return str(value)


def _context_fields(context: RequestContext | None) -> dict[str, object]:
    if context is None:
        return {}
    named = {
        "correlation_id": context.correlation_id,
        "request_id": context.request_id,
        "stream_id": context.stream_id,
        "user": context.user,
        "agent": context.agent,
    }
    return {name: value for name, value in named.items() if value}


def _severity(level: int) -> str:
    return next((name for least, name in _SEVERITIES if level >= least), "DEBUG")


def _exception_text(record: logging.LogRecord) -> str:
    parts = [record.stack_info] if record.stack_info else []
    if record.exc_info and record.exc_info[1]:
        # Counted from where it was raised: the innermost frames say most.
        parts.append("".join(traceback.format_exception(record.exc_info[1], limit=-MAX_FRAMES)))
    return "\n".join(parts).rstrip("\n")


def _bare_or_quoted(value: object) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
