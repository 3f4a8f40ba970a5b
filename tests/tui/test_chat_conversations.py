"""Stored conversations, agents and first questions, over the real function: by pressing keys and looking."""

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from textual.pilot import Pilot

from sluice_tui.api import Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.connection import Connection
from sluice_tui.local_function import LocalFunction
from sluice_tui.memory import Memory
from sluice_tui.unfinished import Records, Unfinished
from sluice_tui.widgets.prompt import Prompt
from tests.support.running_function import RunningFunction, running_function
from tests.tui.fake_openai import FakeOpenAI
from tests.tui.processes import wait_until
from tests.tui.screens import CURSOR, draft, send, shown, status_line, until, until_gone, until_shown

AGENTS = """
[[agents]]
id = "guide"
name = "Guide"
description = "Asks first, then helps."
provider = "demo"
model = "demo"
[[agents.onboarding]]
key = "goal"
question = "What would you like to achieve?"
[[agents.onboarding]]
key = "time"
question = "How much time do you have?"
"""


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    agents = tmp_path_factory.mktemp("agents") / "agents.toml"
    agents.write_text(AGENTS)
    with running_function({"AGENTS_FILE": str(agents), "DEMO_TOKENS_PER_SECOND": "300"}) as function:
        yield function


@pytest.fixture
def store(function: RunningFunction) -> Iterator["Store"]:
    with function.client() as client:
        store = Store(client)
        store.clear()
        yield store


class Store:
    """What the function has stored, asked for directly."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def conversations(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = self._client.get("/v1/conversations").json()["data"]
        return listed

    def texts(self, conversation_id: object) -> list[str]:
        messages = self._client.get(f"/v1/conversations/{conversation_id}").json()["messages"]["data"]
        return [message["content"] for message in messages]

    def clear(self) -> None:
        for conversation in self.conversations():
            self._client.delete(f"/v1/conversations/{conversation['id']}")
        self._client.delete("/v1/onboarding/guide")

    def put(self, conversation_id: str, question: str) -> None:
        body = {"message": question, "conversation_id": conversation_id, "stream": False, "model": "demo"}
        self._client.post("/chat", json=body).raise_for_status()


def app_at(function: RunningFunction, memory: Memory | None = None, agent: str = "demo") -> ChatApp:
    return ChatApp(Connection(Endpoint(f"{function.url}/v1", function.key), agent), memory)


@pytest.fixture
def chat(function: RunningFunction) -> ChatApp:
    return app_at(function)


async def until_answered(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: not pilot.app.screen.query_one(Prompt).held)
    await until_gone(pilot, CURSOR)


async def ask(pilot: Pilot[Any], topic: str) -> None:
    await send(pilot, f"In short: {topic}")
    await until_shown(pilot, f"You asked: In short: {topic}.")
    await until_answered(pilot)


async def test_a_conversation_is_stored_and_opened_again(chat: ChatApp, function: RunningFunction, store: Store) -> None:
    async with chat.run_test(notifications=True) as pilot:
        await ask(pilot, "rivers")
        await ask(pilot, "lakes")
    (stored,) = store.conversations()
    assert (stored["title"], stored["message_count"]) == ("In short: rivers", 4)

    again = app_at(function)
    async with again.run_test(notifications=True) as pilot:
        await pilot.press("ctrl+o")
        await until_shown(pilot, "4 messages")
        await pilot.press("enter")
        await until_shown(pilot, "You asked: In short: rivers.")
        await until_shown(pilot, "You asked: In short: lakes.")
        await until(pilot, lambda: re.search(r"\d+/\d+ tokens", status_line(again)) is not None)

        await ask(pilot, "seas")
    (stored,) = store.conversations()
    assert stored["message_count"] == 6


async def test_the_list_is_searched_renamed_and_deleted_from(chat: ChatApp, store: Store) -> None:
    for name in ("alpha", "beta"):
        store.put(name, f"In short: {name}")
    async with chat.run_test(notifications=True) as pilot:
        await pilot.press("ctrl+o")
        await until_shown(pilot, "In short: beta")
        await pilot.press(*"alp")
        await until_gone(pilot, "In short: beta")

        await pilot.press("f6")
        await until_shown(pilot, "Enter keeps")
        await pilot.press("end", *" [/] two", "enter")
        await until_shown(pilot, "In short: alpha [/] two")

        await pilot.press("f8")
        await until_shown(pilot, "for good?")
        await pilot.press("n")
        await until_gone(pilot, "for good?")
        assert len(store.conversations()) == 2
        await pilot.press("f8")
        await until_shown(pilot, "for good?")
        await pilot.press("y")
        await until_shown(pilot, "Nothing fits.")

    assert [conversation["id"] for conversation in store.conversations()] == ["beta"]


async def test_an_agent_that_was_named_by_its_id_is_called_by_its_name(function: RunningFunction) -> None:
    chat = app_at(function, agent="guide")
    async with chat.run_test(notifications=True) as pilot:
        await until_shown(pilot, "Asks first, then helps.")
        await until(pilot, lambda: "· Guide" in status_line(chat))


async def test_an_edited_question_goes_on_in_a_fork(chat: ChatApp, store: Store) -> None:
    async with chat.run_test(notifications=True, size=(100, 40)) as pilot:
        for topic in ("rivers", "lakes"):
            await ask(pilot, topic)

        await pilot.press("ctrl+g")
        await until_shown(pilot, "Edit a question")
        await pilot.press("enter")
        await until(pilot, lambda: draft(chat) == "In short: lakes")
        await pilot.press(*["backspace"] * 5, *"seas", "enter")
        await until_shown(pilot, "You asked: In short: seas.")
        await until_answered(pilot)

        assert "lakes" not in shown(chat)
        assert "You asked: In short: rivers." in shown(chat)
    forked, before = store.conversations()
    assert store.texts(before["id"])[::2] == ["In short: rivers", "In short: lakes"]
    assert store.texts(forked["id"])[::2] == ["In short: rivers", "In short: seas"]
    assert [forked["title"], before["title"]] == ["In short: rivers (2)", "In short: rivers"]


async def test_a_stopped_question_asked_again_is_stored_once(chat: ChatApp, store: Store) -> None:
    async with chat.run_test(notifications=True) as pilot:
        await send(pilot, "In 3000 words: rivers")
        await until_shown(pilot, f"{CURSOR}")
        await pilot.press("escape")
        await until_shown(pilot, "You stopped this answer.")
        await pilot.press("ctrl+r")
        await until_gone(pilot, "You stopped this answer.")
        await until_shown(pilot, CURSOR)
        await pilot.press("escape")
        await until_shown(pilot, "You stopped this answer.")
        (stored,) = store.conversations()
        await until(pilot, lambda: len(store.texts(stored["id"])) > 1)

    assert store.texts(stored["id"])[0] == "In 3000 words: rivers"
    assert len(store.texts(stored["id"])) == 2


async def test_an_export_says_where_it_went_and_writes_over_nothing(
    chat: ChatApp, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("tides", "In short: tides [/]")
    monkeypatch.chdir(tmp_path)
    async with chat.run_test(notifications=True, size=(160, 30)) as pilot:
        await pilot.press("ctrl+o")
        await until_shown(pilot, "In short: tides")
        for number, kind in enumerate(("enter", "enter", "down")):
            await pilot.press("ctrl+s")
            await until_shown(pilot, "Export as")
            await pilot.press(*([kind, "enter"] if kind == "down" else [kind]))
            await until(pilot, lambda: len(list(tmp_path.iterdir())) > number)  # noqa: B023
        await until_shown(pilot, ".json")

    assert_exported(tmp_path)


def assert_exported(folder: Path) -> None:
    first, second = sorted(folder.glob("*.md"))
    assert first.read_text().splitlines()[0] == "# In short: tides [/]"
    assert second.read_text().splitlines()[3:] == first.read_text().splitlines()[3:]
    (whole,) = folder.glob("*.json")
    assert [message["role"] for message in json.loads(whole.read_text())["messages"]] == ["user", "assistant"]


@pytest.mark.usefixtures("store")
async def test_an_agent_is_picked_and_its_first_questions_are_asked(chat: ChatApp) -> None:
    async with chat.run_test(notifications=True, size=(100, 40)) as pilot:
        await pilot.press("f2")
        await until_shown(pilot, "Asks first, then helps.")
        await pilot.press(*"helps", "enter")
        await until_shown(pilot, "question 1 of 2")
        await until_shown(pilot, "What would you like to achieve?")
        assert "● 127.0.0.1" in status_line(chat)
        assert "Guide" in status_line(chat)

        await send(pilot, "In short: learn")
        await until_shown(pilot, "question 2 of 2")
        await send(pilot, "In short: a week")
        await until_gone(pilot, "Getting started")


async def test_what_came_before_an_unfinished_answer_is_there_when_it_is_continued(
    function: RunningFunction, store: Store, tmp_path: Path
) -> None:
    store.put("talk", "In short: rivers")
    with function.client() as client:
        body = {
            "model": "demo", "stream": True, "store": True, "metadata": {"conversation_id": "talk"},
            "messages": [{"role": "user", "content": "In 300 words: lakes"}],
        }  # fmt: skip
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            stream_id = response.headers["x-stream-id"]
    killed = Records(tmp_path)
    killed.keep(Unfinished(f"{function.url}/v1", "demo", stream_id, "In 300 words: lakes", "talk"))
    killed.release()

    chat = app_at(function, Memory(records=Records(tmp_path)))
    async with chat.run_test(notifications=True, size=(100, 60)) as pilot:
        await until_shown(pilot, "was not read to its end")
        await pilot.press("tab", "y")
        await until_shown(pilot, "about rivers")
        await until_shown(pilot, "about lakes")
        await until_gone(pilot, CURSOR)

        assert shown(chat).count("In 300 words: lakes") == 2  # the question, and the answer that quotes it


async def test_a_server_without_these_says_so(app: ChatApp, server: FakeOpenAI) -> None:
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("ctrl+o")
        await until_shown(pilot, "stores no conversations")

        await send(pilot, "hi")
        await until_shown(pilot, "Hello world")

    assert "store" not in server.completions[0].body
    assert set(server.paths) == {"/chat/completions"}


async def test_what_there_is_of_an_answer_is_stored_when_the_terminal_is_left(tmp_path: Path) -> None:
    """The local function ends with the terminal, which does not wait for it."""
    function = LocalFunction({**os.environ, "DEMO_FIRST_TOKEN_MS": "10"}, data_folder=tmp_path)
    chat = ChatApp(Connection(function))
    try:
        async with chat.run_test(notifications=True) as pilot:
            await send(pilot, "In 3000 words: rivers")
            await until_shown(pilot, "You asked")
            await pilot.press("ctrl+q")
        with closing(sqlite3.connect(tmp_path / "conversations.db")) as database:
            wait_until(lambda: states(database) == [("user", "complete"), ("assistant", "partial")], "the partial answer")
    finally:
        function.stop()


def states(database: sqlite3.Connection) -> list[tuple[str, str]]:
    return database.execute("SELECT role, status FROM messages ORDER BY sequence").fetchall()
