"""Functions under functions-framework's server: one over a scripted upstream, one with the demo agent alone."""

from collections.abc import Iterator

import pytest

from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.upstream_fixtures import shared_upstream, upstream

__all__ = ["function", "shared_upstream", "upstream"]

CLOCKS = {
    "FIRST_TOKEN_TIMEOUT_SECONDS": "2",
    "IDLE_TIMEOUT_SECONDS": "2",
    "TIMEOUT_SECONDS": "8",
    "HEARTBEAT_SECONDS": "1",
    "RESUME_GRACE_SECONDS": "0",
    "MAX_STREAM_BYTES": "200000",
}


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream) -> Iterator[RunningFunction]:
    """The agent `assistant` talks to the scripted upstream, by short clocks."""
    environment = {"OPENAI_API_KEY": "sk-upstream-secret-0123456789", "OPENAI_BASE_URL": shared_upstream.url, **CLOCKS}
    with running_function(environment) as function:
        yield function
