"""What is posted to the pump runs for the request of whoever posted it, and keeps nothing else of theirs alive."""

from contextvars import ContextVar
from queue import SimpleQueue

import pytest

from sluice_service.generation.pump import Pump
from sluice_service.telemetry.context import CURRENT, RequestContext

FRAMEWORKS: ContextVar[str] = ContextVar("frameworks", default="nothing")


@pytest.fixture
def request_context() -> RequestContext:
    return RequestContext(request_id="r", correlation_id="c")


def test_posted_call_knows_the_request_and_nothing_of_the_framework(request_context: RequestContext) -> None:
    pump, seen = Pump(), SimpleQueue[tuple[RequestContext | None, str]]()
    ours, theirs = CURRENT.set(request_context), FRAMEWORKS.set("a request object")
    try:
        pump.post(lambda: seen.put((CURRENT.get(), FRAMEWORKS.get())))

        assert seen.get(timeout=10) == (request_context, "nothing")
    finally:
        CURRENT.reset(ours)
        FRAMEWORKS.reset(theirs)
        pump.stop()
