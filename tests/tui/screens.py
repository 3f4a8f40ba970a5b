"""What the app shows, as text, waiting for it, and what tests do in it."""

import html
import re
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from sluice_tui.rendering.lines import CURSOR
from sluice_tui.widgets.prompt import Prompt

__all__ = ["CURSOR", "draft", "send", "shown", "status_line", "until", "until_gone", "until_shown"]

_TEXT = re.compile(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>')

_CELL_WIDTH = 12.2
"""Of the export, in its own units."""


def shown(app: App[Any]) -> str:
    """The screen's text, line by line, as its own export draws it."""
    lines: dict[float, dict[float, str]] = defaultdict(dict)
    for x, y, text in _TEXT.findall(app.export_screenshot()):
        lines[float(y)][float(x)] = html.unescape(text).replace("\xa0", " ")
    _title, *rest = (_line(line) for _, line in sorted(lines.items()))
    return "\n".join(line for line in rest if line)


def _line(texts: dict[float, str]) -> str:
    line = ""
    for x, text in sorted(texts.items()):
        line = line.ljust(round(x / _CELL_WIDTH)) + text
    return line.rstrip()


def status_line(app: App[Any]) -> str:
    """Above the footer."""
    return shown(app).rstrip().splitlines()[-2]


async def until(pilot: Pilot[Any], condition: Callable[[], bool], seconds: float = 10) -> None:
    """Let the app run until it holds; fail with the screen when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s; the screen:\n{shown(pilot.app)}"
        await pilot.pause(0.02)


async def until_shown(pilot: Pilot[Any], text: str) -> None:
    await until(pilot, lambda: text in shown(pilot.app))


async def until_gone(pilot: Pilot[Any], text: str) -> None:
    await until(pilot, lambda: text not in shown(pilot.app))


async def send(pilot: Pilot[Any], text: str) -> None:
    await pilot.press(*text, "enter")


def draft(app: App[Any]) -> str:
    return app.screen.query_one(Prompt).text
