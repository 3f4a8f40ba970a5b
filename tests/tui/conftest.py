"""A server to talk to, and the app over it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sluice_tui.api import Api, Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.connection import Connection
from sluice_tui.transport import Timeouts
from tests.tui.asking import HASTY, KEY, SHORT
from tests.tui.fake_openai import FakeOpenAI, fake_openai

FAKE_FUNCTION = Path(__file__).with_name("fake_function") / "entry.py"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a terminal started here keeps does not mix with what its user keeps."""
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name)))


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with fake_openai() as server:
        yield server


@pytest.fixture
def app(server: FakeOpenAI) -> ChatApp:
    """The app over the fake server; it leaves with the test's event loop."""
    return ChatApp(Connection(Endpoint(server.url, "key-0123"), timeouts=Timeouts(connect=2, read=10), patience=HASTY))


@pytest.fixture
async def api(server: FakeOpenAI) -> AsyncIterator[Api]:
    api = Api(Endpoint(server.url, KEY), SHORT)
    yield api
    await api.aclose()
