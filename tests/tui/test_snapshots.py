"""Pictures of every screen in a small, a usual and a large terminal: `pytest --snapshot-update` takes them anew."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from textual.pilot import Pilot

from sluice_tui.api import Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.connection import Connection
from sluice_tui.memory import Memory
from sluice_tui.unfinished import Records, Unfinished
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.status_bar import StatusBar
from sluice_wire.errors import SluiceError
from tests.tui.fake_openai import BROKEN, FakeOpenAI, Reply, chunk, whole
from tests.tui.screens import CURSOR, send, until, until_gone, until_shown

# Not all in one process, which would take as long as the rest of the terminal's tests.
SIZES = [
    pytest.param((columns, rows), id=f"{columns}x{rows}", marks=pytest.mark.xdist_group(f"snapshots, {columns} columns"))
    for columns, rows in ((40, 20), (80, 24), (120, 40))
]

# syrupy calls it otherwise since its version 5.
SVGImageExtension.file_extension = "svg"

URL = "http://sluice.example/v1"
"""The server is asked through a proxy, since its own address has another port each time, which the screens show."""

NOON = 1_577_880_000
AGENTS = [
    {"id": "guide", "name": "Guide", "description": "Asks first, then helps.", "owned_by": "sluice"},
    {"id": "terse", "name": "Terse [/]", "description": "Says it in one line, 一行で.", "owned_by": "sluice"},
]
TALKS = [
    {"id": f"c{number}", "title": title, "agent": "guide", "created": NOON, "updated": NOON, "message_count": 2 * number}
    for number, title in enumerate(("How tides work [/]", "日本語のとても長い題名 👩‍👩‍👧 " * 4, "A weir and a lock (2)"), 1)
]
ANSWER = {
    "status": "complete",
    "usage": {"prompt_tokens": 12, "completion_tokens": 180, "total_tokens": 192},
    "finish_reason": "stop",
    "stream_id": "st-0123",
    "time_to_first_token_ms": 312,
    "generation_ms": 4_200,
}
MESSAGES = [
    {"id": "m1", "role": "user", "content": "How do tides work?", "created": NOON},
    {"id": "m2", "role": "assistant", "content": "By the **moon**, mostly.", "created": NOON, **ANSWER},
]
EVERY_KIND = """\
# Locks and weirs

A *weir* holds water **back**, a `lock` lets ~~boats~~ vessels [through](https://locks.example/how).
日本語と 👩‍👩‍👧 too, and <b>tags</b> and [/] stay text.

- one
  1. deeper
  2. and more

     > quoted, in a list
- two

| part | does | m |
|:-----|:----:|--:|
| gate | opens | 4 |
| sill | 止まる | 12.5 |

```python
def lift(boat: Boat) -> None:
    \"\"\"Up it goes.\"\"\"
    boat.level += 2.5  # metres
```

## Then

    indented code

***

> Still waters [run deep][1].
"""


class Scene(NamedTuple):
    """What is done, and what the server says otherwise than it does to others; `left` is a question without its answer."""

    act: Callable[[Pilot[Any], FakeOpenAI], Awaitable[None]]
    replies: Mapping[str, Reply] = {}
    left: str = ""


async def connected(pilot: Pilot[Any], _: FakeOpenAI) -> None:
    await until_shown(pilot, "● sluice.example")


async def answered(pilot: Pilot[Any], server: FakeOpenAI) -> None:
    pieces = [EVERY_KIND[place : place + 7] for place in range(0, len(EVERY_KIND), 7)]
    server.script = [chunk(delta={"reasoning_content": "They want *all* of it."}), *whole(*pieces)]
    await connected(pilot, server)
    await send(pilot, "all")
    await ended(pilot)


async def answered_above(pilot: Pilot[Any], server: FakeOpenAI) -> None:
    await answered(pilot, server)
    await pilot.press("f8", *["pageup"] * 6)


async def broken(pilot: Pilot[Any], server: FakeOpenAI) -> None:
    server.script = ["half of", BROKEN]
    await connected(pilot, server)
    await send(pilot, "now?")
    await until_shown(pilot, "upstream_truncated")
    await ended(pilot)


async def ended(pilot: Pilot[Any]) -> None:
    """The answer has; its times, which are of this run, are hidden."""
    prompt, status = pilot.app.screen.query_one(Prompt), pilot.app.screen.query_one(StatusBar)
    await until(pilot, lambda: not prompt.held)
    await until_gone(pilot, CURSOR)
    status.visible = False


async def refused(pilot: Pilot[Any], _: FakeOpenAI) -> None:
    await until_shown(pilot, "corr-1")
    await pilot.press("tab")


async def another_key(pilot: Pilot[Any], server: FakeOpenAI) -> None:
    await refused(pilot, server)
    await pilot.press("k")
    await until_shown(pilot, "API key for")
    await pilot.press(*"sk-0")


async def guided(pilot: Pilot[Any], _: FakeOpenAI) -> None:
    await until_shown(pilot, "question 2 of 3")


async def offered(pilot: Pilot[Any], server: FakeOpenAI) -> None:
    await connected(pilot, server)
    await until_shown(pilot, "y  Continue it")


def blink_no_more(pilot: Pilot[Any]) -> None:
    for cursor in pilot.app.screen.query("TextArea, Input").results():
        cursor.cursor_blink = False  # type: ignore[attr-defined]


def opened(key: str, *words: str, first: Scene | None = None) -> Scene:
    """That key, after what comes first, and the words that it brings."""
    before = first or Scene(connected)

    async def act(pilot: Pilot[Any], server: FakeOpenAI) -> None:
        await before.act(pilot, server)
        await pilot.press(key)
        for word in words:
            await until_shown(pilot, word)

    return Scene(act)


CONVERSATIONS = opened("ctrl+o", "· 3")
REOPENED = opened("enter", "mostly", "4.2 s", first=CONVERSATIONS)
UNAUTHORIZED = {"/v1/models": Reply(401, SluiceError("invalid_credentials").report("corr-1").to_openai())}
GUIDED = {"step": 1, "total": 3, "done": False, "question": "What *brings* you here, [/] in a sentence?"}
SCENES = {
    "start": Scene(connected),
    "answer": Scene(answered),
    "answer_above": Scene(answered_above),
    "broken": Scene(broken),
    "refused": Scene(refused, UNAUTHORIZED),
    "another_key": Scene(another_key, UNAUTHORIZED),
    "guided": Scene(guided, {"/v1/onboarding/guide": Reply(200, GUIDED)}),
    "offered": Scene(offered, left="How do tides work, [/] and why?"),
    "conversations": CONVERSATIONS,
    "deleting": opened("f8", "Delete it", first=CONVERSATIONS),
    "renaming": opened("f6", "Enter keeps", first=CONVERSATIONS),
    "reopened": REOPENED,
    "details": opened("f3", "Turn 1 of 1", first=REOPENED),
    "agents": opened("f2", "Terse"),
    "help": opened("f1", "send"),
}


@pytest.fixture
def proxied(server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> FakeOpenAI:
    """A server of that address, which offers and stores what there is."""
    for name in ("NO_PROXY", "no_proxy", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, server.url.removesuffix("/v1"))
    server.models = AGENTS
    pages = {
        "/onboarding/guide": {"step": 0, "total": 0, "done": True, "question": None},
        "/conversations?limit=100": {"data": TALKS, "next_cursor": None},
        "/conversations/c1?limit=100": {**TALKS[0], "messages": {"data": MESSAGES, "next_cursor": None}},
    }
    server.replies = {f"/v1{path}": Reply(200, page) for path, page in pages.items()}
    return server


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SCENES)
def test_every_screen_looks_as_it_did(
    name: str, size: tuple[int, int], proxied: FakeOpenAI, tmp_path: Path, snap_compare: Callable[..., bool]
) -> None:
    scene, records = SCENES[name], Records(tmp_path)
    proxied.replies |= scene.replies
    if scene.left:
        records.keep(Unfinished(URL, "guide", "st-1", scene.left))
        records.release()

    async def act(pilot: Pilot[Any]) -> None:
        blink_no_more(pilot)
        await scene.act(pilot, proxied)
        blink_no_more(pilot)

    app = ChatApp(Connection(Endpoint(URL, "key-0123")), Memory(records=records))
    assert snap_compare(app, terminal_size=size, run_before=act)
