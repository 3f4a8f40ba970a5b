"""The stores that the contract holds for. Tests share a store and keep apart by users and ids of their own."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice_service.stores.base import ConversationStore
from sluice_service.stores.opening import open_store
from tests.support.firestore_emulator import FirestoreEmulator, firestore_emulator

PROJECT = "demo-sluice"

# One worker runs all that needs the emulator, so that it is started once.
FIRESTORE = pytest.param("firestore", marks=pytest.mark.xdist_group("firestore"))
SHARED_BY_PROCESSES = ("sqlite in a file", FIRESTORE)
ALL = ("sqlite in a file", "sqlite in memory", FIRESTORE)


@pytest.fixture(scope="session")
def emulator() -> Iterator[FirestoreEmulator]:
    """Google's client is told of it by the environment, as everybody would."""
    with firestore_emulator() as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        yield emulator


def address(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "firestore":
        request.getfixturevalue("emulator")
        return f"firestore://{PROJECT}"
    return f"sqlite:///{folder}/conversations.db" if kind == "sqlite in a file" else "sqlite://"


@pytest.fixture(scope="session", params=ALL)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConversationStore]:
    store = open_store(address(request.param, request, tmp_path_factory.mktemp("store")))
    yield store
    store.close()


@pytest.fixture(params=SHARED_BY_PROCESSES)
def shared_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting for a store that several processes can open."""
    return address(request.param, request, tmp_path)


@pytest.fixture
def user() -> str:
    """One whom nobody else uses."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture
def conversation_id() -> str:
    """One that nobody has yet."""
    return uuid.uuid4().hex
