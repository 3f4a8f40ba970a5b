"""What only Firestore can do to a store: hang, vanish, refuse, and be half-way through a deletion."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import grpc  # type: ignore[import-untyped] # it has no stubs of its own
import pytest
from google.cloud.firestore import Client
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.base_query import FieldFilter

from sluice_service.stores.base import ConversationStore
from sluice_service.stores.firestore import FirestoreStore
from sluice_wire.errors import SluiceError
from tests.contract.conftest import PROJECT
from tests.support.chaos_proxy import Act, ChaosProxy, Fault
from tests.support.firestore_emulator import FirestoreEmulator
from tests.support.messages import all_messages, message
from tests.support.running_function import free_port

pytestmark = pytest.mark.xdist_group("firestore")

SERVICE = "google.firestore.v1.Firestore"
SECRET = "sk-what-the-server-said"

OPERATIONS: dict[str, Callable[[ConversationStore], object]] = {
    "append": lambda store: store.append("u", "c", "a", [message("1")], "t"),
    "recent": lambda store: store.recent("u", "c", 10, 1000),
    "conversations": lambda store: store.conversations("u", 10),
    "conversation": lambda store: store.conversation("u", "c"),
    "messages": lambda store: store.messages("u", "c", 10),
    "rename": lambda store: store.rename("u", "c", "t"),
    "delete": lambda store: store.delete("u", "c"),
    "fork": lambda store: store.fork("u", "c", "1"),
    "progress": lambda store: store.progress("u", "a"),
    "save_progress": lambda store: store.save_progress("u", "a", 0, {}),
    "reset_progress": lambda store: store.reset_progress("u", "a"),
}


def assert_unavailable(call: Callable[[], object], within_seconds: float) -> SluiceError:
    began = time.monotonic()
    with pytest.raises(SluiceError, match="storage_unavailable") as refused:
        call()
    assert time.monotonic() - began < within_seconds
    return refused.value


def assert_all_unavailable(store: ConversationStore, within_seconds: float) -> None:
    """Every operation, at the same time."""
    calls = [partial(operation, store) for operation in OPERATIONS.values()]
    with ThreadPoolExecutor(len(calls)) as threads:
        errors = list(threads.map(lambda call: assert_unavailable(call, within_seconds), calls))
    assert {error.retry_after_seconds for error in errors} == {1}


def test_store_that_hangs_is_given_up_within_the_deadline(emulator: FirestoreEmulator, user: str) -> None:
    store = FirestoreStore(PROJECT, deadline_seconds=0.5)
    patient = FirestoreStore(PROJECT)
    patient.save_progress(user, "a", 0, {})
    store.progress(user, "a")

    with emulator.hanging():
        assert_all_unavailable(store, 1.5)

    assert patient.progress(user, "a").step == 1


def test_store_that_is_not_there_is_given_up_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    store = FirestoreStore(PROJECT, deadline_seconds=0.5)

    assert_all_unavailable(store, 2)


def test_store_that_stops_is_given_up_within_the_deadline(
    emulator: FirestoreEmulator, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    with ChaosProxy(emulator.port) as connection:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{connection.port}")
        store = FirestoreStore(PROJECT, deadline_seconds=1)
        store.progress(user, "a")

    assert_all_unavailable(store, 2.5)


@pytest.mark.parametrize("at_byte", range(100, 1300, 150))
def test_connection_that_breaks_anywhere_doubles_and_loses_nothing(
    emulator: FirestoreEmulator, monkeypatch: pytest.MonkeyPatch, user: str, conversation_id: str, at_byte: int
) -> None:
    with ChaosProxy(emulator.port, [[Fault(Act.RESET, at_byte)]]) as connection:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{connection.port}")
        store = FirestoreStore(PROJECT)

        for number in range(3):
            store.append(user, conversation_id, "a", [message(str(number))], "t")

        assert connection.injected == 1
        assert [found.id for found in all_messages(store, user, conversation_id)] == ["0", "1", "2"]
        assert store.conversation(user, conversation_id).message_count == 3


def missing_documents(request: types.BatchGetDocumentsRequest, _context: grpc.ServicerContext) -> Iterator[Any]:
    """A database that is empty."""
    for name in request.documents:
        yield types.BatchGetDocumentsResponse(missing=name, read_time=datetime.now(UTC))


@contextmanager
def refusing_server(code: grpc.StatusCode, reads: Callable[..., Any] | None = None) -> Iterator[str]:
    """One that refuses every call in the same way, or all but those that read documents."""

    def refuse(_request: Any, context: grpc.ServicerContext) -> None:
        context.abort(code, SECRET)

    get = grpc.unary_stream_rpc_method_handler(
        reads or refuse,
        request_deserializer=types.BatchGetDocumentsRequest.deserialize,
        response_serializer=types.BatchGetDocumentsResponse.serialize,
    )
    handlers = {
        "BatchGetDocuments": get,
        "RunQuery": grpc.unary_stream_rpc_method_handler(refuse),
        "Commit": grpc.unary_unary_rpc_method_handler(refuse),
    }
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, handlers=(grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


HINTS = {
    grpc.StatusCode.PERMISSION_DENIED: "roles/datastore.user",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "quota",
    grpc.StatusCode.NOT_FOUND: "no such database",
    grpc.StatusCode.FAILED_PRECONDITION: "native mode",
    grpc.StatusCode.UNAUTHENTICATED: "credentials",
    grpc.StatusCode.UNAVAILABLE: "cannot be reached",
    grpc.StatusCode.DEADLINE_EXCEEDED: "in time",
}


REFUSALS = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("code", REFUSALS, ids=lambda code: code.name)
def test_whatever_a_read_is_answered_is_storage_unavailable(
    code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sluice")
    with refusing_server(code) as address:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
        store = FirestoreStore(PROJECT, deadline_seconds=0.3)

        error = assert_unavailable(lambda: store.conversation("u", "c"), 1.5)
        assert_unavailable(lambda: store.conversations("u", 10), 1.5)

    assert SECRET not in str(error.report())
    assert [record.__dict__["json_fields"]["operation"] for record in caplog.records] == ["conversation", "conversations"]
    assert HINTS.get(code, "") in caplog.records[0].getMessage()


@pytest.mark.parametrize("code", REFUSALS, ids=lambda code: code.name)
def test_whatever_a_commit_is_answered_is_storage_unavailable(
    code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sluice")
    with refusing_server(code, missing_documents) as address:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
        store = FirestoreStore(PROJECT, deadline_seconds=0.3)

        assert_unavailable(lambda: store.append("u", "c", "a", [message("1")], "t"), 1.5)

    assert [record.__dict__["json_fields"]["operation"] for record in caplog.records] == ["append"]


def test_without_credentials_it_is_unavailable_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")

    assert_unavailable(lambda: FirestoreStore(PROJECT).progress("u", "a"), 5)

    assert "credentials" in caplog.text


@pytest.mark.usefixtures("emulator")
def test_deletion_that_broke_off_hides_at_once_and_can_be_finished(user: str, conversation_id: str) -> None:
    store = FirestoreStore(PROJECT)
    store.append(user, conversation_id, "a", [message("1"), message("2", "x" * 600_000)], "t")
    document = Client(project=PROJECT).collection("sluice_conversations").document(f"-{conversation_id}")

    document.update({"deleting": True, "listed": None})

    assert store.conversations(user, 10).items == ()
    for call in (
        lambda: store.append(user, conversation_id, "a", [message("3")], "t"),
        lambda: store.recent(user, conversation_id, 10, 1000),
        lambda: store.delete("somebody else", conversation_id),
    ):
        with pytest.raises(SluiceError, match="not_found"):
            call()
    store.delete(user, conversation_id)
    assert [list(collection.stream()) for collection in document.collections()] == []
    store.append("somebody else", conversation_id, "a", [message("new")], "t")
    assert all_messages(store, "somebody else", conversation_id) == [message("new")]


@pytest.mark.usefixtures("emulator")
def test_documents_that_somebody_lets_expire_are_read_until_then(user: str, conversation_id: str) -> None:
    store = FirestoreStore(PROJECT)
    told = [message("1"), message("2", "x" * 600_000)]
    store.append(user, conversation_id, "a", told, "t")
    store.save_progress(user, "a", 0, {})
    database = Client(project=PROJECT)
    conversation = database.collection("sluice_conversations").document(f"-{conversation_id}")
    progress = database.collection("sluice_progress").where(filter=FieldFilter("user", "==", user)).get()
    inside = [found for collection in conversation.collections() for found in collection.get()]

    for document in (conversation, *(found.reference for found in (*progress, *inside))):
        document.update({"expires": datetime.now(UTC) + timedelta(days=1)})

    assert all_messages(store, user, conversation_id) == told
    assert store.progress(user, "a").step == 1
    store.append(user, conversation_id, "a", [message("3")], None)
    assert [found.id for found in store.recent(user, conversation_id, 10, 10**6)] == ["1", "2", "3"]
    assert "expires" in (conversation.get().to_dict() or {})


@pytest.mark.usefixtures("emulator")
def test_databases_are_kept_apart(user: str) -> None:
    first, second = FirestoreStore(PROJECT), FirestoreStore(PROJECT, "second")

    first.save_progress(user, "a", 0, {})

    assert (first.progress(user, "a").step, second.progress(user, "a").step) == (1, 0)
