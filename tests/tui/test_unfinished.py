"""What a terminal that was killed leaves to the next one."""

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_tui.api import Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.connection import Connection
from sluice_tui.memory import Memory
from sluice_tui.unfinished import Records, Unfinished
from sluice_tui.widgets.offer import Offer
from sluice_tui.widgets.prompt import Prompt
from sluice_wire.errors import SluiceError
from tests.tui.asking import HASTY
from tests.tui.fake_openai import HANG, FakeOpenAI, Reply, whole
from tests.tui.screens import draft, send, shown, until, until_gone, until_shown

URL = "https://chat.example.org/v1"
OFFER = "An answer was not read to its end"


def unfinished(question: str = "why?", url: str = URL) -> Unfinished:
    return Unfinished(url, "assistant", "s1", question)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "sluice"


def leave_behind(folder: Path, what: Unfinished) -> Path:
    """As a terminal that was killed does: its lock ends with it."""
    before = set(folder.glob("*.json"))
    records = Records(folder)
    records.keep(what)
    records.release()
    return (set(folder.glob("*.json")) - before).pop()


def on_disk(folder: Path) -> list[Path]:
    return list(folder.glob("*"))


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_kept_is_what_the_next_terminal_finds(tmp_path_factory: pytest.TempPathFactory, question: str) -> None:
    folder = tmp_path_factory.mktemp("state")
    leave_behind(folder, unfinished(question))

    assert Records(folder).take_over(URL) == unfinished(question)


def test_it_is_for_this_user_alone_and_holds_no_key(folder: Path) -> None:
    path = leave_behind(folder, unfinished())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(json.loads(path.read_bytes())) == {"url", "agent", "stream_id", "question", "conversation_id", "key"}
    assert on_disk(folder) == [path]


def test_what_a_living_terminal_reads_is_not_offered_to_another(folder: Path) -> None:
    living = Records(folder)
    living.keep(unfinished("first"))
    living.keep(unfinished("second"))

    assert Records(folder).take_over(URL) is None

    living.release()
    assert Records(folder).take_over(URL) == unfinished("second")


def test_what_one_terminal_has_taken_over_no_other_is_offered(folder: Path) -> None:
    leave_behind(folder, unfinished())
    first = Records(folder)

    assert first.take_over(URL)
    assert Records(folder).take_over(URL) is None

    first.drop()
    assert on_disk(folder) == []


def test_the_newest_for_the_same_address_is_offered(folder: Path) -> None:
    old = leave_behind(folder, unfinished("old"))
    leave_behind(folder, unfinished("new"))
    leave_behind(folder, unfinished("elsewhere", "https://other.example.org/v1"))
    os.utime(old, (time.time() - 60, time.time() - 60))

    assert Records(folder).take_over(URL) == unfinished("new")


def test_one_that_is_too_old_is_removed_and_what_was_never_whole_too(folder: Path) -> None:
    path = leave_behind(folder, unfinished())
    draft = path.with_suffix(".new")
    draft.write_bytes(path.read_bytes())
    for old in (path, draft):
        os.utime(old, (time.time() - 4000, time.time() - 4000))

    assert Records(folder).take_over(URL) is None
    assert on_disk(folder) == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"url": 1, "agent": 2, "stream_id": 3, "question": 4}']
)
def test_a_file_that_is_something_else_is_no_offer(folder: Path, content: bytes) -> None:
    leave_behind(folder, unfinished()).write_bytes(content)

    assert Records(folder).take_over(URL) is None


def test_a_disk_that_refuses_costs_the_offer_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    records = Records(tmp_path / "file")

    records.keep(unfinished())
    assert records.take_over(URL) is None
    records.drop()


# -- on the screen


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    records = Records(folder)
    yield records
    records.release()


@pytest.fixture
def app(server: FakeOpenAI, records: Records) -> ChatApp:
    return ChatApp(Connection(Endpoint(server.url, "key-0123"), patience=HASTY), Memory(records=records))


async def test_a_stream_is_on_record_until_its_answer_has_ended(app: ChatApp, server: FakeOpenAI, folder: Path) -> None:
    server.stream_id = "s1"
    server.scripts = [["half", HANG], whole("fine")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "why?")
        await until_shown(pilot, "half")
        (path,) = on_disk(folder)
        kept = json.loads(path.read_bytes())
        assert (kept["url"], kept["agent"], kept["stream_id"], kept["question"]) == (server.url, "fake", "s1", "why?")
        assert kept["key"] == server.completions[0].headers["idempotency-key"]
        assert b"key-0123" not in path.read_bytes()

        await pilot.press("escape")
        await until(pilot, lambda: not on_disk(folder))
        await send(pilot, "more")
        await until_shown(pilot, "fine")
        await until(pilot, lambda: not on_disk(folder))


async def test_a_stream_without_a_name_leaves_no_record(app: ChatApp, server: FakeOpenAI, folder: Path) -> None:
    server.script = ["half", HANG]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "why?")
        await until_shown(pilot, "half")

        assert on_disk(folder) == []


async def test_y_on_the_offer_shows_the_question_and_the_whole_answer(
    app: ChatApp, server: FakeOpenAI, folder: Path
) -> None:
    leave_behind(folder, unfinished("why so?", server.url))
    server.resumptions = [whole("because ", "of that")]
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, OFFER)
        assert isinstance(app.focused, Prompt)
        await pilot.press(*"draft", "tab", "y")

        await until_shown(pilot, "because of that")
        await until_gone(pilot, OFFER)
        assert "▌ why so?" in shown(app)
        assert "assistant" in shown(app)
        assert draft(app) == "draft"
        await until(pilot, lambda: not on_disk(folder))

        await pilot.press("enter")
        await until(pilot, lambda: bool(server.completions))
    assert server.paths[0] == "/streams/s1?starting_after=0"
    assert [message["content"] for message in server.completions[0].body["messages"]] == [
        "why so?",
        "because of that",
        "draft",
    ]


@pytest.mark.parametrize("how", ["key", "button", "message"])
async def test_an_offer_that_is_declined_or_passed_over_is_forgotten(
    app: ChatApp, server: FakeOpenAI, folder: Path, how: str
) -> None:
    leave_behind(folder, unfinished("why so?", server.url))
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, OFFER)
        if how == "key":
            await pilot.press("tab", "n")
        elif how == "button":
            await pilot.click("#no")
        else:
            await send(pilot, "hi")
            await until_shown(pilot, "Hello world")

        await until_gone(pilot, OFFER)
        await until(pilot, lambda: not on_disk(folder))
        assert isinstance(app.focused, Prompt)


async def test_an_offer_that_is_taken_twice_at_once_is_taken_once(app: ChatApp, server: FakeOpenAI, folder: Path) -> None:
    leave_behind(folder, unfinished("why so?", server.url))
    server.resumptions = [whole("because")]
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, OFFER)
        for wanted in (True, True, False):
            app.screen.query_one(Offer).action_answer(wanted)

        await until_shown(pilot, "because")
        assert shown(app).count("why so?") == 1
    assert server.paths == ["/streams/s1?starting_after=0"]


async def test_a_stream_that_is_gone_is_a_panel_that_asks_the_question_anew(
    app: ChatApp, server: FakeOpenAI, folder: Path
) -> None:
    leave_behind(folder, unfinished("why so?", server.url))
    server.resumptions = [Reply(404, SluiceError("not_found", path="x").report().to_openai())]
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, OFFER)
        await pilot.press("tab", "y")
        await until_shown(pilot, "The answer cannot be continued.")

        await pilot.press("tab", "r")
        await until_shown(pilot, "Hello world")
    assert server.completions[0].body["messages"] == [{"role": "user", "content": "why so?"}]


async def test_what_was_left_at_another_address_is_not_offered(app: ChatApp, folder: Path) -> None:
    path = leave_behind(folder, unfinished())
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "● 127.0.0.1")

        assert OFFER not in shown(app)
    assert path.exists()
