"""What a server may list, state or go on with that makes no sense, and the terminal bears."""

import threading
from typing import Any

import pytest

from sluice_tui.api import Api
from sluice_tui.app import ChatApp
from sluice_tui.conversations import MAX_MESSAGES, Conversations
from sluice_tui.errors import ClientError
from tests.tui.fake_openai import FakeOpenAI, Reply, chunk, whole
from tests.tui.screens import send, shown, status_line, until, until_gone, until_shown

CONVERSATION = {"id": "c1", "title": "Rivers", "agent": "fake", "created": 1, "updated": 1, "message_count": 2}


def page(items: list[Any], cursor: str | None) -> dict[str, Any]:
    return {"data": items, "next_cursor": cursor}


async def test_what_is_listed_twice_or_at_no_time_is_shown_once(app: ChatApp, server: FakeOpenAI) -> None:
    server.models = [{"id": name, "owned_by": "sluice"} for name in ("one", "two", "two")]
    odd = [CONVERSATION | {"updated": time} for time in (1e18, 10**400, float("nan"), -1)]
    first, more = "/v1/conversations?limit=100", "/v1/conversations?limit=100&cursor=x"
    # The second page says for ever that there is one more.
    server.replies = {first: Reply(200, page([*odd, *odd], "x")), more: Reply(200, page(odd, "x"))}
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "● ")
        await pilot.press("f2")
        await until_shown(pilot, "Talk to")
        await until_shown(pilot, "two")
        assert shown(app).count("two") == 1
        await pilot.press("escape", "ctrl+o")
        await until_shown(pilot, "Rivers")
        await until(pilot, lambda: len(server.paths) > 3)
        assert shown(app).count("Rivers") == 1
        await until(pilot, lambda: sum(path.startswith("/conversations") for path in server.paths) == 20)


async def test_of_a_very_long_conversation_the_newest_messages_are_read(api: Api, server: FakeOpenAI) -> None:
    pages = MAX_MESSAGES // 100 + 2
    for number in range(pages):
        listed = [{"id": f"{number}-{place}", "role": "user", "content": "x"} for place in range(100)]
        path = "/v1/conversations/c1?limit=100" + (f"&cursor={number}" if number else "")
        following = str(number + 1) if number + 1 < pages else None
        server.replies[path] = Reply(200, CONVERSATION | {"messages": page(listed, following)})

    _, messages = await Conversations(api).read("c1")

    assert (len(messages), messages[0].id, messages[-1].id) == (MAX_MESSAGES, "2-0", f"{pages - 1}-99")


async def test_a_conversation_without_an_end_is_told_instead_of_read_for_ever(api: Api, server: FakeOpenAI) -> None:
    endless = Reply(200, CONVERSATION | {"messages": page([], "x")})
    server.replies = dict.fromkeys(("/v1/conversations/c1?limit=100", "/v1/conversations/c1?limit=100&cursor=x"), endless)

    with pytest.raises(ClientError) as caught:
        await Conversations(api).read("c1")

    assert caught.value.report.code == "invalid_reply"


async def test_an_answer_without_an_end_is_given_up_and_what_came_is_kept(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = whole(*["word " * 100_000] * 9)
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "on and on")
        await until_shown(pilot, "answer_too_long")

    assert len(server.completions) == 1


async def test_thoughts_that_go_on_beside_the_text_stay_one_text(app: ChatApp, server: FakeOpenAI) -> None:
    gates = [threading.Event() for _ in range(2)]
    thoughts = [chunk(delta={"reasoning_content": text}) for text in ("First I", " think, then", " again.")]
    server.script = whole(thoughts[0], "Hello.", gates[0], thoughts[1], gates[1], thoughts[2])
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "why?")
        await until_shown(pilot, "Hello.")
        await pilot.press("f8")
        await until_shown(pilot, "┊ First I")
        gates[0].set()
        await until_shown(pilot, "┊ First I think, then")
        gates[1].set()
        await until_shown(pilot, "┊ First I think, then again.")


async def test_the_status_line_tells_of_the_connection_that_there_is(app: ChatApp, server: FakeOpenAI) -> None:
    server.replies["/v1/models"] = Reply(503, {"error": {"message": "still starting"}})
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "still starting")
        await until(pilot, lambda: "✗ not connected" in status_line(app))
        server.replies.clear()
        await pilot.press("f2")
        await until_shown(pilot, "Talk to")
        await pilot.press("enter")
        await until_gone(pilot, "Talk to")
        await until(pilot, lambda: "● " in status_line(app) and "fake" in status_line(app))

        server.close()
        server.script = []
        await send(pilot, "anyone there?")
        await until(pilot, lambda: "✗ not connected" in status_line(app))
