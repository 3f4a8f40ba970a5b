"""The scripted upstream as fixtures, for the conftests of the folders whose functions talk to it."""

from collections.abc import Iterator

import pytest

from tests.support.scripted_upstream import ScriptedUpstream, answer


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[ScriptedUpstream]:
    """One for all the tests of a process: each sets its script."""
    upstream = ScriptedUpstream()
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(shared_upstream: ScriptedUpstream) -> ScriptedUpstream:
    """The same, with a good answer to begin with and no calls yet."""
    shared_upstream.script = answer("Hello", " world")
    shared_upstream.calls.clear()
    return shared_upstream
