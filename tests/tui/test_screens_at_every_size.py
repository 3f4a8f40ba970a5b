"""Every screen in a small, a usual and a large terminal: nothing is cut off at the right, and what matters is there."""

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widget import Widget

from sluice_tui.app import ChatApp
from sluice_tui.widgets.prompt import Prompt
from tests.tui.fake_openai import BROKEN, FakeOpenAI, Reply, whole
from tests.tui.screens import send, shown, until, until_gone, until_shown

SIZES = [(40, 20), (80, 24), (120, 40)]
WIDE = "日本語のとても長い題名 with [/] markup and 👩‍👩‍👧 and much more of it, and more"
CONVERSATION = {"id": "c1", "title": WIDE, "agent": "fake", "created": 1, "updated": 1, "message_count": 2}
AGENTS = [{"id": "fake", "name": WIDE, "description": WIDE * 3, "owned_by": "sluice"}]


@pytest.mark.parametrize("size", SIZES)
async def test_what_matters_is_on_every_screen(app: ChatApp, server: FakeOpenAI, size: tuple[int, int]) -> None:
    server.models = AGENTS
    server.replies["/v1/onboarding/fake"] = Reply(200, {"step": 0, "total": 2, "done": False, "question": WIDE})
    listed = {"data": [CONVERSATION], "next_cursor": None}
    server.replies["/v1/conversations?limit=100"] = Reply(200, listed)
    server.scripts = [whole(WIDE), ["half", BROKEN]]
    async with app.run_test(notifications=True, size=size) as pilot:
        await until_shown(pilot, "question 1 of 2")
        fits(app, size)

        await send(pilot, "one")
        await until(pilot, lambda: not app.screen.query_one(Prompt).held)
        await send(pilot, "two")
        await until_shown(pilot, "upstream_truncated")
        fits(app, size)
        assert "r Try again" in shown(app)

        for key, words in (
            ("ctrl+o", "日本語のとても長い題名"),
            ("f2", "Enter chooses"),
            ("f3", "Turn 2 of 2"),
            ("f1", "send"),
        ):
            await looked_at(pilot, key, words, size)


async def looked_at(pilot: Pilot[None], key: str, words: str, size: tuple[int, int]) -> None:
    await pilot.press(key)
    await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
    await until_shown(pilot, words)
    fits(pilot.app, size)
    await pilot.press("escape")
    await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


def fits(app: App[None], size: tuple[int, int]) -> None:
    for widget in app.screen.query_children("*").results(Widget):
        if widget.display:
            assert widget.region.right <= size[0]
            assert widget.region.bottom <= size[1]


async def test_the_details_go_from_turn_to_turn(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [whole("first"), whole("second")]
    async with app.run_test(notifications=True, size=(40, 20)) as pilot:
        for question in ("one", "two"):
            await send(pilot, question)
            await until(pilot, lambda: not app.screen.query_one(Prompt).held)
        await pilot.press("f3")
        await until_shown(pilot, "Turn 2 of 2")
        await pilot.press("left")
        await until_shown(pilot, "Turn 1 of 2")
        await pilot.press("left")
        await until_shown(pilot, "Turn 1 of 2")
        await pilot.press("f3")
        await until_gone(pilot, "Turn 1 of 2")
