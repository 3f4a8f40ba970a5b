"""One Chromium and one function for all tests of the page; what the browser complains of fails the test."""

import json
from collections.abc import Iterator

import pytest

from tests.support.chromium import Chromium, chromium
from tests.support.running_function import RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.simple_api import agents_file
from tests.support.upstream_fixtures import shared_upstream, upstream

__all__ = ["browser", "function", "shared_upstream", "upstream", "window"]

RARE_KEY, SINGLE_KEY, NEW_KEY = "rare-key-0123456789", "single-key-0123456789", "new-key-0123456789"
SPENT_KEY = "spent-key-0123456789"


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture
def browser(window: Chromium) -> Iterator[Chromium]:
    """At its usual size and light, whatever the test before did."""
    window.resize(1100, 800)
    window.prefer(scheme="light")
    yield window
    assert window.complaints() == []


@pytest.fixture(scope="session")
def function(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    """Its agents ask the scripted upstream; besides alice's it knows the keys above."""
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    rare = key_entry(RARE_KEY, "rare", limits={"messages_per_hour": 1})
    single = key_entry(SINGLE_KEY, "single", limits={"streams": 1})
    spent = key_entry(SPENT_KEY, "spent", limits={"messages_per_hour": 1})
    keys.write_text(json.dumps([rare, single, spent, key_entry(NEW_KEY, "new")]))
    environment = {
        "AGENTS_FILE": agents_file(tmp_path_factory.mktemp("agents"), shared_upstream),
        "API_KEYS_FILE": str(keys),
        "RESUME_GRACE_SECONDS": "20",
    }
    with running_function(environment) as function:
        yield function
