"""The function under functions-framework's server, its agent `assistant` over a scripted upstream."""

import json
from collections.abc import Iterator

import pytest

from tests.support.running_function import RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.upstream_fixtures import shared_upstream, upstream

__all__ = ["function", "shared_upstream", "upstream"]

NARROW_KEY = "narrow-key-of-bob"

CLOCKS = {
    "FIRST_TOKEN_TIMEOUT_SECONDS": "3",
    "IDLE_TIMEOUT_SECONDS": "1.6",
    "HEARTBEAT_SECONDS": "1",  # more than our own retry waits, so that its outcome still has a status of its own,
    "RESUME_GRACE_SECONDS": "0",
}


@pytest.fixture(scope="session")
def function(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    """It also knows a key that may use an agent named `other` alone."""
    more_keys = tmp_path_factory.mktemp("keys") / "keys.json"
    more_keys.write_text(json.dumps([key_entry(NARROW_KEY, "bob", agents=["other"])]))
    provider = {"OPENAI_API_KEY": "sk-upstream-secret-0123456789", "OPENAI_BASE_URL": shared_upstream.url}
    with running_function({"API_KEYS_FILE": str(more_keys), **provider, **CLOCKS}) as function:
        yield function
