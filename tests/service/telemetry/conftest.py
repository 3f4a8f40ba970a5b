from collections.abc import Iterator

import pytest

from sluice_service.telemetry.context import CURRENT, RequestContext
from sluice_service.telemetry.trace import Trace
from tests.service.telemetry.logged import Logged, logged

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


@pytest.fixture
def cloud() -> Iterator[Logged]:
    with logged(cloud=True) as caught:
        yield caught


@pytest.fixture
def readable() -> Iterator[Logged]:
    with logged(cloud=False) as caught:
        yield caught


@pytest.fixture(params=["cloud", "readable"])
def either(request: pytest.FixtureRequest) -> Iterator[Logged]:
    with logged(cloud=request.param == "cloud") as caught:
        yield caught


@pytest.fixture
def current() -> Iterator[RequestContext]:
    context = RequestContext("r-1", "c-1", TRACE, user="alice", agent="demo", stream_id="s-1")
    token = CURRENT.set(context)
    yield context
    CURRENT.reset(token)
