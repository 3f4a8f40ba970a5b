"""The dialect of a browser's EventSource: the simple one, typed, with ids that name the stream, so a reconnect finds it.

Source: WHATWG HTML, section 9.2 "Server-sent events": after a lost connection EventSource sends the last id it saw.
"""

from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.simple_dialect import SimpleDialect, simple_error
from sluice_wire.errors import SluiceError


def event_dialect(stream_id: str, correlation_id: str) -> SimpleDialect:
    """`{"type": "chunk" | "complete" | "error", …}` under `id: <stream_id>.<N>`."""
    return SimpleDialect(correlation_id, id_prefix=f"{stream_id}.".encode(), typed=True)


def first_id(stream_id: str) -> bytes:
    """What is sent before anything else: from then on EventSource can name the stream, though it has no frame of it yet."""
    return f"id: {stream_id}.0\n\n".encode()


def error_event(error: SluiceError, correlation_id: str) -> bytes:
    """A turn that could not even start, as a stream of one event: EventSource cannot read the body of a refusal."""
    return b"data: " + ascii_json({"type": "error", **simple_error(error, correlation_id), "is_final": True}) + b"\n\n"
