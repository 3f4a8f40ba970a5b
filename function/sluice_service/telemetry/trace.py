"""The caller's trace, read from its request headers.

Sources: W3C Trace Context level 1, section 3.2 "traceparent Header"; Google Cloud Trace, "Trace context", for the older
`X-Cloud-Trace-Context: TRACE_ID/SPAN_ID;o=OPTIONS`.
"""

import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_CLOUD = re.compile(r"(?P<trace>[0-9a-fA-F]{32})(?:/(?P<span>[0-9]{1,20}))?(?:;o=(?P<options>[0-9]{1,3}))?")
_SAMPLED = 1
_MAX_SPAN_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request belongs: 32 hex digits of trace, 16 of the caller's span ("" when it named none)."""

    trace_id: str
    span_id: str
    sampled: bool


def trace_from(traceparent: str | None, cloud_trace_context: str | None) -> Trace | None:
    """The trace in the two headers' values, the standard's first; None when neither holds a valid one."""
    return _from_traceparent(traceparent or "") or _from_cloud(cloud_trace_context or "")


def _from_traceparent(value: str) -> Trace | None:
    match = _TRACEPARENT.fullmatch(value.strip(" \t"))
    if match is None or match["version"] == "ff" or (match["version"] == "00" and match["rest"]):
        return None
    if not (int(match["trace"], 16) and int(match["span"], 16)):
        return None
    return Trace(match["trace"], match["span"], sampled=bool(int(match["flags"], 16) & _SAMPLED))


def _from_cloud(value: str) -> Trace | None:
    match = _CLOUD.fullmatch(value.strip(" \t"))
    if match is None or not int(match["trace"], 16):
        return None
    span = int(match["span"] or 0)
    if span > _MAX_SPAN_ID:
        return None
    sampled = bool(int(match["options"] or 0) & _SAMPLED)
    return Trace(match["trace"].lower(), f"{span:016x}" if span else "", sampled)
