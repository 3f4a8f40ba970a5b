"""Stored conversations through the API: what is kept, when, for whom, and what happens when the store does not answer."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, g

from sluice_service.chat.agents import Agents
from sluice_service.quotas.base import Limits
from sluice_service.stores.sqlite import SqliteStore
from sluice_service.web.auth import Principal
from sluice_service.web.history import History
from sluice_wire.errors import SluiceError
from tests.support.running_function import RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import CLOSE, HANG, STREAM_HEAD, USAGE, ScriptedUpstream, Step, answer, chunk
from tests.support.simple_api import Body, agents_file, ask, bodies, complete, content, new_id, read_until, stored

WAIT_SECONDS = 15.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "conversations.db"


@pytest.fixture(scope="module")
def function(
    shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory, database: Path
) -> Iterator[RunningFunction]:
    environment = {
        "AGENTS_FILE": agents_file(tmp_path_factory.mktemp("agents"), shared_upstream),
        "API_KEYS": json.dumps([key_entry("alice-key", "alice"), key_entry("bob-key", "bob")]),
        "CONVERSATIONS": f"sqlite:///{database}",
        "K_SERVICE": "sluice",
        "RESUME_GRACE_SECONDS": "0",
    }
    with running_function(environment) as function:
        yield function


def user(function: RunningFunction, name: str) -> httpx.Client:
    return httpx.Client(base_url=function.url, headers={"Authorization": f"Bearer {name}-key"}, timeout=30)


@pytest.fixture(scope="module")
def client(function: RunningFunction) -> Iterator[httpx.Client]:
    with user(function, "alice") as client:
        yield client


@pytest.fixture(scope="module")
def bob(function: RunningFunction) -> Iterator[httpx.Client]:
    with user(function, "bob") as client:
        yield client


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else can write meanwhile."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def eventually(client: httpx.Client, conversation_id: str, count: int, status: str = "complete") -> list[Body]:
    """Its messages, as soon as there are so many and the last one has this status."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        messages = stored(client, conversation_id)
        if len(messages) == count and messages[-1]["status"] == status:
            return messages
        time.sleep(0.02)
    raise AssertionError(f"not {count} messages ending {status}: {messages}")


def said(messages: list[Body]) -> list[tuple[str, str, str]]:
    return [(message["role"], message["content"], message["status"]) for message in messages]


def sent(upstream: ScriptedUpstream) -> list[str]:
    """The contents of the messages that the model was last asked with."""
    return [message["content"] for message in upstream.calls[-1].body["messages"]]


# Context


def test_history_is_the_context_in_order(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    for number in range(3):
        upstream.script = answer(f"answer {number}")
        ask(client, f"question {number}", conversation_id=conversation_id).raise_for_status()
    assert sent(upstream) == ["question 0", "answer 0", "question 1", "answer 1", "question 2"]
    roles = [message["role"] for message in upstream.calls[-1].body["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_newest_messages_within_the_budget_are_the_context(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    upstream.script = answer("x" * 15_000)
    for number in range(5):
        ask(client, f"{number}", conversation_id=conversation_id, stream=False).raise_for_status()
    assert sent(upstream) == ["1", "x" * 15_000, "2", "x" * 15_000, "3", "x" * 15_000, "4"][-7:]
    assert sum(map(len, sent(upstream)[:-1])) <= 60_000


def test_program_that_sends_its_own_history_gets_none_added(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    for message in ("first", "second"):
        complete(client, message, store=True, metadata={"conversation_id": conversation_id}).raise_for_status()
    assert sent(upstream) == ["second"]
    assert [message["content"] for message in stored(client, conversation_id)][::2] == ["first", "second"]


# What is stored, and what is said of it


def test_stored_answer_says_how_it_went(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    reply = ask(client, "hi", conversation_id=conversation_id)
    question, told = stored(client, conversation_id)
    assert (question["role"], question["content"], question["status"]) == ("user", "hi", "complete")
    assert (told["role"], told["content"], told["status"]) == ("assistant", "Hello world", "complete")
    assert (told["usage"], told["finish_reason"]) == (USAGE, "stop")
    assert told["stream_id"] == reply.headers["x-stream-id"]
    assert 0 <= told["time_to_first_token_ms"] <= told["generation_ms"]
    assert upstream.calls


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_stored_completion_says_where_beside_the_finish_reason(
    client: httpx.Client, upstream: ScriptedUpstream, stream: bool, named: bool
) -> None:
    asked = new_id()
    metadata: dict[str, str] = {"conversation_id": asked} if named else {"other": "thing"}
    reply = complete(client, "store me", stream=stream, store=True, metadata=metadata)
    if stream:
        frames = [json.loads(line[6:]) for line in reply.text.split("\n") if line.startswith("data: {")]
        (told,) = [frame["sluice"] for frame in frames if "sluice" in frame]
        (finish,) = [frame for frame in frames if "sluice" in frame]
        assert finish["choices"][0]["finish_reason"] == "stop"
    else:
        told = reply.json()["sluice"]
    assert told["persisted"] is True
    assert not named or told["conversation_id"] == asked
    assert said(stored(client, told["conversation_id"])) == [
        ("user", "store me", "complete"),
        ("assistant", "Hello world", "complete"),
    ]
    assert upstream.calls


@pytest.mark.parametrize("extra", [{}, {"store": False}, {"metadata": {"conversation_id": "c-unasked"}}])
def test_completion_is_not_stored_unless_it_asks(
    client: httpx.Client, upstream: ScriptedUpstream, extra: dict[str, Any]
) -> None:
    assert "sluice" not in complete(client, **extra).json()
    assert client.get("/v1/conversations/c-unasked").status_code == 404
    assert upstream.calls


def test_question_is_stored_before_the_model_is_called(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    seen: list[list[Body]] = []

    def script(_: Any) -> list[Step]:
        seen.append(stored(client, conversation_id))
        return answer("ok")

    upstream.script = script
    with httpx.Client(base_url=client.base_url, headers=client.headers) as other:
        ask(other, "kept", conversation_id=conversation_id).raise_for_status()
    assert [said(messages) for messages in seen] == [[("user", "kept", "complete")]]


def test_interrupted_answer_is_kept_as_partial(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    upstream.script = [STREAM_HEAD, chunk("half of "), chunk("it"), HANG]
    body = {"message": "hi", "conversation_id": conversation_id}
    with client.stream("POST", "/chat", json=body) as reply:
        read_until(reply, b'"it"')
    assert said(eventually(client, conversation_id, 2, "partial"))[1] == ("assistant", "half of it", "partial")


def test_answer_that_never_began_leaves_only_the_question(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    upstream.script = [STREAM_HEAD, CLOSE]
    assert ask(client, "hi", conversation_id=conversation_id).status_code == 502
    assert said(stored(client, conversation_id)) == [("user", "hi", "complete")]


@pytest.mark.parametrize("named", [True, False])
def test_failed_turn_is_replaced_under_its_key_and_not_doubled(
    client: httpx.Client, upstream: ScriptedUpstream, named: bool
) -> None:
    key = new_id()
    more = {"conversation_id": new_id()} if named else {}
    before = len(client.get("/v1/conversations", params={"limit": 100}).json()["data"])
    upstream.script = [STREAM_HEAD, chunk("half"), CLOSE]
    assert bodies(ask(client, "once", key=key, **more).content)[-1]["status"] == "error"
    newest = client.get("/v1/conversations").json()["data"][0]["id"]
    eventually(client, newest, 2, "partial")
    upstream.script = answer("whole")
    last = bodies(ask(client, "once", key=key, **more).content)[-1]
    assert last["conversation_id"] == newest
    assert said(stored(client, newest)) == [("user", "once", "complete"), ("assistant", "whole", "complete")]
    assert sent(upstream) == ["once"]
    assert len(client.get("/v1/conversations", params={"limit": 100}).json()["data"]) == min(before + 1, 100)


def test_same_message_twice_without_a_key_is_two_turns(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    for _ in range(2):
        ask(client, "again", conversation_id=conversation_id).raise_for_status()
    assert [message["content"] for message in stored(client, conversation_id)] == ["again", "Hello world"] * 2
    assert len(upstream.calls) == 2


def test_two_turns_at_once_lose_nothing(client: httpx.Client, function: RunningFunction, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    upstream.script = answer("a", "b", pause=0.05)

    def turn(number: int) -> None:
        with user(function, "alice") as own:
            ask(own, f"q{number}", conversation_id=conversation_id).raise_for_status()

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = [message["content"] for message in stored(client, conversation_id)]
    assert sorted(contents) == sorted([f"q{number}" for number in range(6)] + ["ab"] * 6)


# When the store does not answer


def test_store_unusable_at_the_start_is_503_before_the_model_is_called(
    client: httpx.Client, upstream: ScriptedUpstream, database: Path
) -> None:
    with locked(database):
        reply = ask(client, conversation_id=new_id())
    assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
    assert not upstream.calls
    assert ask(client).status_code == 200


def test_answer_arrives_when_the_store_is_unusable_at_its_end_and_is_saved_later(
    client: httpx.Client, function: RunningFunction, upstream: ScriptedUpstream, database: Path
) -> None:
    conversation_id = new_id()
    go_on = threading.Event()

    def script(_: Any) -> Iterator[Step]:
        yield from answer("the ")[:4]
        go_on.wait(10)
        yield from answer("answer")[2:]

    upstream.script = script  # type: ignore[assignment]
    body = {"message": "hi", "conversation_id": conversation_id}
    with client.stream("POST", "/chat", json=body) as reply, locked(database):
        correlation_id = reply.headers["x-correlation-id"]
        go_on.set()
        raw = reply.read()
    last = bodies(raw)[-1]
    assert content(raw) == "the answer"
    assert (last["status"], last["persisted"], last["conversation_id"]) == ("complete", False, conversation_id)
    assert 1900 < last["duration_ms"] < 6000
    assert said(eventually(client, conversation_id, 2))[1] == ("assistant", "the answer", "complete")
    failures = [entry for entry in function.entries() if entry.get("event") == "save_failed"]
    (failure,) = [entry for entry in failures if entry["correlation_id"] == correlation_id]
    assert (failure["severity"], failure["error_type"]) == ("WARNING", "storage_unavailable")


# List, read, rename, delete, fork


def test_conversations_are_listed_in_pages_newest_first(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    made = [new_id() for _ in range(5)]
    with user(function, "bob") as bob:
        for number, conversation_id in enumerate(made):
            ask(bob, f"  about\n{number} ", conversation_id=conversation_id, stream=False).raise_for_status()
        found: list[Body] = []
        page: Body = {"next_cursor": None}
        while not found or page["next_cursor"]:
            cursor = {} if page["next_cursor"] is None else {"cursor": page["next_cursor"]}
            params = {"limit": "2", **cursor}
            page = bob.get("/v1/conversations", params=params).json()
            assert (page["object"], len(page["data"]) <= 2) == ("list", True)
            found += page["data"]
    assert [conversation["id"] for conversation in found][:5] == made[::-1]
    assert found[0].keys() == {"object", "id", "agent", "title", "created", "updated", "message_count"}
    assert (found[0]["title"], found[0]["agent"], found[0]["message_count"]) == ("about 4", "assistant", 2)
    assert upstream.calls


def test_messages_are_read_in_pages_oldest_first(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    for number in range(3):
        ask(client, f"q{number}", conversation_id=conversation_id, stream=False).raise_for_status()
    read: list[str] = []
    cursor: str | None = None
    while not read or cursor:
        params = {"limit": "4"} if cursor is None else {"limit": "4", "cursor": cursor}
        page = client.get(f"/v1/conversations/{conversation_id}", params=params).json()
        read += [message["content"] for message in page["messages"]["data"]]
        cursor = page["messages"]["next_cursor"]
    assert read == ["q0", "Hello world", "q1", "Hello world", "q2", "Hello world"]
    assert upstream.calls


def test_renamed_conversation_keeps_its_title(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    ask(client, "first words", conversation_id=conversation_id).raise_for_status()
    path = f"/v1/conversations/{conversation_id}"
    assert client.patch(path, json={"title": "Ours ☃"}).json()["title"] == "Ours ☃"
    ask(client, "other words", conversation_id=conversation_id).raise_for_status()
    assert client.get(path).json()["title"] == "Ours ☃"
    for title in ("", "x" * 201, None):
        assert client.patch(path, json={"title": title}).status_code == 400
    assert upstream.calls


def test_deleted_conversation_is_gone(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    ask(client, conversation_id=conversation_id).raise_for_status()
    path = f"/v1/conversations/{conversation_id}"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == client.delete(path).status_code == 404
    assert conversation_id not in client.get("/v1/conversations", params={"limit": 100}).text
    assert upstream.calls


def test_fork_holds_the_messages_up_to_the_one_that_is_named(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    for number in range(2):
        ask(client, f"q{number}", conversation_id=conversation_id).raise_for_status()
    path = f"/v1/conversations/{conversation_id}"
    second = stored(client, conversation_id)[1]["id"]
    reply = client.post(f"{path}/fork", json={"message_id": second})
    forked = reply.json()
    assert (reply.status_code, forked["message_count"]) == (201, 2)
    assert forked["id"] != conversation_id
    ask(client, "elsewhere", conversation_id=forked["id"]).raise_for_status()
    assert sent(upstream) == ["q0", "Hello world", "elsewhere"]
    assert len(stored(client, conversation_id)) == 4
    assert client.post(f"{path}/fork", json={"message_id": "nothing"}).status_code == 404


def test_anothers_conversation_is_404_on_every_route(
    client: httpx.Client, bob: httpx.Client, upstream: ScriptedUpstream
) -> None:
    conversation_id = new_id()
    ask(client, "private", conversation_id=conversation_id).raise_for_status()
    upstream.calls.clear()
    path = f"/v1/conversations/{conversation_id}"
    message_id = stored(client, conversation_id)[0]["id"]
    replies = [
        bob.get(path),
        bob.patch(path, json={"title": "mine"}),
        bob.delete(path),
        bob.post(f"{path}/fork", json={"message_id": message_id}),
        ask(bob, conversation_id=conversation_id),
        complete(bob, store=True, metadata={"conversation_id": conversation_id}),
    ]
    assert [reply.status_code for reply in replies] == [404] * len(replies)
    assert not any("private" in reply.text for reply in replies)
    assert not upstream.calls
    assert said(stored(client, conversation_id))[0] == ("user", "private", "complete")


@pytest.mark.parametrize("cursor", ["", "x", "e30", "💥", "AAAA", "x" * 2000])
def test_corrupt_cursor_is_400(client: httpx.Client, upstream: ScriptedUpstream, cursor: str) -> None:
    conversation_id = new_id()
    ask(client, conversation_id=conversation_id).raise_for_status()
    for path in ("/v1/conversations", f"/v1/conversations/{conversation_id}"):
        reply = client.get(path, params={"cursor": cursor})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_request")
    assert upstream.calls


def test_cursor_of_another_list_is_400(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    ids = [new_id(), new_id()]
    for conversation_id in ids:
        ask(client, conversation_id=conversation_id).raise_for_status()
    cursor = client.get(f"/v1/conversations/{ids[0]}", params={"limit": 1}).json()["messages"]["next_cursor"]
    for path in ("/v1/conversations", f"/v1/conversations/{ids[1]}"):
        assert client.get(path, params={"cursor": cursor}).status_code == 400
    assert upstream.calls


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", ""])
def test_limit_out_of_range_is_400(client: httpx.Client, limit: str) -> None:
    reply = client.get("/v1/conversations", params={"limit": limit})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "limit")


@pytest.mark.parametrize("odd", ["%00", "%2F", "%F0%9F%92%A5", "..%2f", "x" * 129, "a%0A", "%0A", "%20"])
def test_what_can_be_no_id_is_404(client: httpx.Client, odd: str) -> None:
    for reply in (client.get(f"/v1/conversations/{odd}"), client.delete(f"/v1/conversations/{odd}")):
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")


def test_store_is_not_asked_for_what_can_be_no_id() -> None:
    store = SqliteStore(None)
    store.close()  # from now on it answers everything with storage_unavailable
    history = History(store, Agents([]))
    with Flask("test").test_request_context(json={"title": "t", "message_id": "m"}):
        g.principal = Principal("alice", ("*",), Limits())
        for route in (history.conversation, history.rename, history.delete, history.fork):
            with pytest.raises(SluiceError, match="not_found"):
                route("a/b")


def test_conversations_without_a_key_are_401(function: RunningFunction) -> None:
    for path in ("/v1/conversations", "/v1/conversations/c", "/v1/onboarding/guide"):
        assert httpx.get(f"{function.url}{path}").status_code == 401
