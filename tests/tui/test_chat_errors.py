"""Errors on the screen, by pressing keys and looking."""

import pytest

from sluice_tui.app import ChatApp
from sluice_tui.widgets.error_panel import ErrorPanel, clock
from sluice_tui.widgets.prompt import Prompt
from sluice_wire.errors import SluiceError
from tests.tui.fake_openai import BROKEN, FakeOpenAI, Reply, frame, whole
from tests.tui.screens import CURSOR, draft, send, shown, status_line, until, until_gone, until_shown


async def test_a_broken_answer_becomes_a_panel_and_nothing_is_lost(app: ChatApp, server: FakeOpenAI) -> None:
    told = SluiceError("idle_timeout", seconds=30).report("corr-42")
    server.script = ["half of it", frame(told.to_openai())]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "my question")
        await until_shown(pilot, "idle_timeout · corr-42")

        screen = shown(app)
        for part in ("my question", "half of it", "fell silent for 30 s", "kept the connection", "→ Send the request again"):
            assert part in screen
        assert "This is not the whole answer." in screen


async def test_r_on_the_panel_asks_again_in_its_place(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["half", BROKEN], whole("the whole answer")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "my question")
        await until_shown(pilot, "upstream_truncated")

        await pilot.press("tab", "r")

        await until_shown(pilot, "the whole answer")
        await until_gone(pilot, CURSOR)
        assert "upstream_truncated" not in shown(app)
        assert "half" not in shown(app)
        assert shown(app).count("my question") == 1
        assert isinstance(app.focused, Prompt)
    assert server.completions[0].body == server.completions[1].body


async def test_the_buttons_do_what_the_keys_do(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["half", BROKEN], whole("the whole answer")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "upstream_truncated")

        await pilot.click("#copy")
        await until_shown(pilot, "Details copied through the terminal (OSC 52).")
        assert "The answer broke off." in app.clipboard
        assert "upstream_truncated · corr-1" in app.clipboard

        await pilot.click("#retry")
        await until_shown(pilot, "the whole answer")


async def test_c_copies_the_details(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = ["half", BROKEN]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "upstream_truncated")
        await pilot.press("tab", "c")

        assert app.clipboard.splitlines()[0] == "The answer broke off."


async def test_only_the_last_error_offers_another_try(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["half", BROKEN], whole("fine")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "upstream_truncated")
        await send(pilot, "two")
        await until_shown(pilot, "fine")

        await pilot.press("tab")

        assert isinstance(app.focused, Prompt)
        assert "r Try again" not in shown(app)


async def test_a_wrong_key_is_told_at_the_start_and_can_be_tried_again(app: ChatApp, server: FakeOpenAI) -> None:
    told = SluiceError("invalid_credentials").report("corr-1")
    server.replies["/v1/models"] = Reply(401, told.to_openai())
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "The API key is not valid here.")
        await until_shown(pilot, "✗ not connected")
        assert "key-0123" not in shown(app)

        server.replies.clear()
        await pilot.press("tab", "r")
        await until_shown(pilot, "● 127.0.0.1")
        assert not app.screen.query(ErrorPanel)


async def test_a_message_sent_without_a_connection_is_kept_with_one_panel(app: ChatApp, server: FakeOpenAI) -> None:
    server.models_gate.clear()
    server.replies.clear()
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "my question")
        server.models = []
        server.models_gate.set()
        await until_shown(pilot, "no_agents")

        assert "my question" in shown(app)
        assert len(app.screen.query(ErrorPanel)) == 1
        assert CURSOR not in shown(app)

        server.models = [{"id": "fake"}]
        await pilot.press("tab", "r")
        await until_shown(pilot, "Hello world")


async def test_what_was_wrong_at_the_start_is_gone_when_a_question_gets_through(app: ChatApp, server: FakeOpenAI) -> None:
    server.replies["/v1/models"] = Reply(401, SluiceError("invalid_credentials").report("corr-1").to_openai())
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "invalid_credentials")
        server.replies.clear()

        await send(pilot, "hi")
        await until_shown(pilot, "Hello world")
        assert "invalid_credentials" not in shown(app)
        assert "● 127.0.0.1" in status_line(app)


async def test_a_limit_counts_down_to_when_sending_works_again(app: ChatApp, server: FakeOpenAI) -> None:
    told = SluiceError("rate_limited").report("corr-1").to_openai()
    server.scripts = [Reply(429, told, headers={"retry-after": "754"}), whole("back again")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "You can send again in 12:3")
        first = shown(app)
        await until_gone(pilot, "12:34")

        assert "rate_limited" in first
        await pilot.press("tab", "r")
        await until_shown(pilot, "back again")


async def test_a_key_that_has_expired_is_replaced_without_a_restart(app: ChatApp, server: FakeOpenAI) -> None:
    refused = Reply(401, SluiceError("invalid_credentials").report("corr-1").to_openai())
    server.scripts = [refused, whole("here you are")]
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "● 127.0.0.1")
        await send(pilot, "my question")
        await until_shown(pilot, "k New key")
        await pilot.press(*"next")

        server.replies["/v1/models"] = refused
        await pilot.press("tab", "k")
        await until_shown(pilot, "API key for 127.0.0.1")
        await pilot.press(*"sk-wrong", "enter")
        await until_shown(pilot, "✗ The API key is not valid here.")
        server.replies.clear()
        await pilot.press(*"sk-fresh")
        assert "••••••••" in shown(app)
        await pilot.press("enter")

        await until_shown(pilot, "here you are")
        await until_gone(pilot, CURSOR)
        assert "invalid_credentials" not in shown(app)
        assert draft(app) == "next"
        await pilot.press("enter", "up")
        await until(pilot, lambda: draft(app) == "next")
    keys = [request.headers["authorization"] for request in server.completions]
    assert keys == ["Bearer key-0123", "Bearer sk-fresh", "Bearer sk-fresh"]


async def test_a_key_that_was_thought_better_of_leaves_the_panel(app: ChatApp, server: FakeOpenAI) -> None:
    server.replies["/v1/models"] = Reply(401, SluiceError("invalid_credentials").report("corr-1").to_openai())
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "invalid_credentials")
        await pilot.click("#new_key")
        await until_shown(pilot, "API key for")
        await pilot.press("escape")

        await until_gone(pilot, "API key for")
        assert "k New key" in shown(app)


async def test_only_a_refused_key_can_be_replaced(app: ChatApp, server: FakeOpenAI) -> None:
    server.replies["/v1/models"] = Reply(401, "<html>Your client does not have permission</html>", "text/html")
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "identity_refused")

        await pilot.press("tab", "k")

        assert "New key" not in shown(app)
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize(("seconds", "told"), [(1, "0:01"), (599, "9:59"), (3600, "1:00:00"), (86_399, "23:59:59")])
def test_a_wait_is_told_as_a_clock_counts_it_down(seconds: int, told: str) -> None:
    assert clock(seconds) == told
