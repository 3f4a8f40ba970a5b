"""The real thing: the chat in a terminal that interprets what it is sent. Pilot writes no terminal bytes; this does."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice_wire.errors import SluiceError
from tests.support import scripted_upstream
from tests.support.running_function import running_function
from tests.support.scripted_upstream import ScriptedUpstream
from tests.tui.fake_openai import DONE, HANG, FakeOpenAI, Reply, whole
from tests.tui.processes import alive_with, wait_until
from tests.tui.tmux import Desk

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()
    wait_until(lambda: not alive_with(desk.mark), "the end of every process")


def test_the_local_function_answers_in_the_terminal_and_nothing_is_left(desk: Desk) -> None:
    """What a newcomer does: start it, ask, look, leave."""
    tmux = desk.chat(DEMO_TOKENS_PER_SECOND="200")
    tmux.until("● local · Demo")
    tmux.type("Tell me about rivers")
    tmux.keys("Enter")

    screen = tmux.until("▍")
    assert "first token" in tmux.until("tok/s")
    assert "rivers" in screen
    wait_until(lambda: "▍" not in tmux.screen(), "the end of the answer")

    tmux.keys("C-q")
    tmux.until("left with 0")
    wait_until(lambda: not alive_with(desk.mark), "the end of every process", seconds=8)


def test_escape_stops_the_answer(desk: Desk, server: FakeOpenAI) -> None:
    server.script = ["partial text", HANG]
    tmux = desk.chat("--url", server.url)
    tmux.type("hi")
    tmux.keys("Enter")
    tmux.until("partial text▍")

    tmux.keys("Escape")

    assert "partial text" in tmux.until("You stopped this answer.")
    assert server.completions[0].gone.wait(5)


def test_what_a_hostile_model_sends_reaches_nothing_but_the_eye(desk: Desk, server: FakeOpenAI) -> None:
    attacks = {
        "title": "\x1b]0;OWNED\x07\x1b]2;OWNED\x1b\\",
        "clipboard": "\x1b]52;c;T1dORUQ=\x07",
        "device control": "\x1bPtmux;\x1b\x1b]0;OWNED\x07\x1b\\",
        "screen": "\x1b[2J\x1b[H\x1b[?1049l\x1bc",
        "8-bit": "\x9d0;OWNED\x9c\x9b2J",
        "link": "\x1b]8;;http://evil.test\x1b\\here\x1b]8;;\x1b\\",
        "entity": "&#x9b;2J&#27;]0;OWNED&#7;",
    }
    server.models = [{"id": "x", "name": "n\x1b]0;OWNED\x07ame"}]
    server.script = whole(
        *(f"{name}: {attack}\n\n" for name, attack in attacks.items()), "```\n\x1b]0;FENCE\x07\n```", "\n\nsafe"
    )
    tmux = desk.chat("--url", server.url, width=100, height=40)
    title = tmux.value("pane_title")
    tmux.until("● 127.0.0.1")
    tmux.type("hi")
    tmux.keys("Enter")

    screen = tmux.until("safe")

    for part in (
        "title: ␛]0;OWNED␇",
        "clipboard: ␛]52;c;T1dORUQ=␇",
        "screen: ␛[2J␛[H␛[?1049l␛c",
        "⟨U+009B⟩2J",
        "n␛]0;OWNED␇ame",
        "␛]0;FENCE␇",
    ):
        assert part in screen
    assert tmux.value("pane_title") == title
    assert tmux.value("alternate_on") == "1"
    assert tmux.buffers() == ""


def test_a_wrong_key_is_a_panel_and_the_message_is_kept(desk: Desk, server: FakeOpenAI) -> None:
    told = SluiceError("invalid_credentials").report("corr-77").to_openai()
    server.replies["/v1/models"] = Reply(401, told)
    tmux = desk.chat("--url", server.url, SLUICE_API_KEY="sk-wrong")
    tmux.type("my message")
    tmux.keys("Enter")

    tmux.until("my message")
    screen = tmux.until("invalid_credentials · corr-77")
    assert "The API key is not valid here." in screen
    assert "sk-wrong" not in screen

    server.replies.clear()
    tmux.keys("Tab")
    wait_until(lambda: "Tab, then" not in tmux.screen(), "the panel's focus")
    tmux.keys("r")
    assert "my message" in tmux.until("Hello world")


def test_a_narrow_terminal_shows_question_answer_and_prompt(desk: Desk, server: FakeOpenAI) -> None:
    gate = threading.Event()
    server.script = ["A list:\n\n- one\n- two", gate, *whole("\n- three")]
    tmux = desk.chat("--url", server.url, width=40, height=20, COLUMNS="99", LINES="99")
    tmux.type("count")
    tmux.keys("Enter")

    tmux.until("two▍")
    gate.set()

    tmux.until("7 tokens")
    wait_until(lambda: "▍" not in tmux.screen(), "the end of the answer")
    screen = tmux.screen()
    assert [line.strip() for line in screen.splitlines() if "•" in line] == ["• one", "• two", "• three"]
    assert "▌ count" in screen
    assert "Ask something" in screen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_chat_and_gives_the_screen_back(desk: Desk, server: FakeOpenAI, number: signal.Signals) -> None:
    tmux = desk.chat("--url", server.url)
    tmux.until("● 127.0.0.1")

    os.kill(min(alive_with(desk.mark)), number)

    screen = tmux.until(f"left with {128 + number}")
    assert "Ask something" not in screen
    assert tmux.value("alternate_on") == "0"


def test_a_chat_that_is_killed_leaves_no_function(desk: Desk) -> None:
    tmux = desk.chat()
    tmux.until("● local · Demo")

    os.kill(min(alive_with(desk.mark)), signal.SIGKILL)

    tmux.until("left with 137")
    wait_until(lambda: not alive_with(desk.mark), "the end of every process", seconds=8)


def test_a_closed_window_leaves_no_process(desk: Desk) -> None:
    desk.chat().until("● local · Demo")

    desk.close()

    wait_until(lambda: not alive_with(desk.mark), "the end of every process", seconds=8)


def test_a_terminal_killed_in_mid_answer_offers_to_continue_it(desk: Desk) -> None:
    """Over the real function: the text goes on, and the model is asked once."""
    upstream, more = ScriptedUpstream(), threading.Event()
    upstream.script = lambda _: in_two_parts(more, ["one ", "two "], ["three ", "four"])  # type: ignore[assignment]
    with running_function({"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": upstream.url}) as function:
        arguments = ("--url", function.url, "--agent", "assistant")
        tmux = desk.chat(*arguments, SLUICE_API_KEY=function.key)
        tmux.type("count to four")
        tmux.keys("Enter")
        tmux.until("one two")
        os.kill(min(alive_with(desk.mark)), signal.SIGKILL)
        tmux.until("left with 137")

        again = desk.chat(*arguments, SLUICE_API_KEY=function.key)
        assert "count to four" in again.until("Tab, then")
        again.keys("Tab")
        wait_until(lambda: "Tab, then" not in again.screen(), "the offer's focus")
        again.keys("y")
        again.until("one two")
        more.set()
        screen = again.until("one two three four")
        wait_until(lambda: "▍" not in again.screen(), "the end of the answer")
        again.keys("C-q")
        again.until("left with 0")
    upstream.close()

    assert "▌ count to four" in screen
    assert screen.count("one") == 1
    assert len(upstream.calls) == 1
    assert desk.left_on_disk() == []


def in_two_parts(more: threading.Event, first: list[str], second: list[str]) -> Iterator[scripted_upstream.Step]:
    yield scripted_upstream.STREAM_HEAD
    yield from (scripted_upstream.chunk(text) for text in first)
    assert more.wait(30)
    yield from (scripted_upstream.chunk(text) for text in second)
    yield from (scripted_upstream.chunk(finish="stop"), DONE, scripted_upstream.CLOSE)


def test_ctrl_c_twice_leaves(desk: Desk, server: FakeOpenAI) -> None:
    tmux = desk.chat("--url", server.url)
    tmux.until("● 127.0.0.1")

    tmux.keys("C-c")
    tmux.until("Press Ctrl+C again")
    tmux.keys("C-c")

    tmux.until("left with 0")


def test_no_color_is_respected(desk: Desk, server: FakeOpenAI) -> None:
    server.script = whole("**bold** text")
    tmux = desk.chat("--url", server.url, NO_COLOR="1")
    tmux.until("● 127.0.0.1")
    tmux.type("hi")
    tmux.keys("Enter")
    tmux.until("bold text")

    assert all(red == green == blue for red, green, blue in tmux.colours())


LEFT, DRAGGED = 0, 32


def test_what_the_mouse_selects_is_copied_to_the_clipboard(desk: Desk, server: FakeOpenAI) -> None:
    server.script = whole("Hold the **water** back\n\nuntil the *gate* opens")
    tmux = desk.chat("--url", server.url)
    tmux.type("hi")
    tmux.keys("Enter")
    tmux.until("7 tokens")
    wait_until(lambda: "▍" not in tmux.screen(), "the end of the answer")
    rows = tmux.screen().splitlines()
    first, last = (next(place for place, row in enumerate(rows) if word in row) for word in ("water", "gate"))

    tmux.mouse(LEFT, rows[first].index("water"), first)
    tmux.mouse(DRAGGED, rows[last].index("gate"), last)
    tmux.mouse(DRAGGED, rows[last].index("gate") + 3, last)
    tmux.mouse(LEFT, rows[last].index("gate") + 3, last, released=True)
    tmux.keys("C-c")

    tmux.until("Selection copied")
    assert tmux.copied() == "water back\n\nuntil the gate"
