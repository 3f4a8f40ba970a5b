"""Whose request the running code works for.

A context variable: the web layer sets it for the request's thread, and tasks on the pump are made with a copy of the
context, so that entries written anywhere on the way, by any library, can name the request.
"""

from contextvars import Context, ContextVar
from dataclasses import dataclass, field

from sluice_service.telemetry.trace import Trace


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What every entry of one request carries. Empty strings are left out.

    `key` is the caller's own, once it is known to be one: on no entry, wherever it was pasted.
    """

    request_id: str
    correlation_id: str
    trace: Trace | None = None
    user: str = ""
    agent: str = ""
    stream_id: str = ""
    key: str = field(default="", repr=False)


CURRENT: ContextVar[RequestContext | None] = ContextVar("sluice_request", default=None)
"""The request that this thread or task works for; None outside of any."""


def for_the_request() -> Context:
    """A context of nothing but the request: a task keeps its context, and the framework's objects need not live so long."""
    context = Context()
    context.run(CURRENT.set, CURRENT.get())
    return context
