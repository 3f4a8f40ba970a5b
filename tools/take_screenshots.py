"""Takes the README's pictures of the terminal, as SVG, from the app over the local function: `make screenshots`."""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from sluice_tui.api import Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.connection import Connection
from sluice_tui.local_function import LocalFunction
from sluice_tui.widgets.prompt import Prompt

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = (100, 30)
WAIT_SECONDS = 30.0

_FONTS_FROM_AFAR = re.compile(r'\burl\("https://[^"]*"\)[^,;]*[,;]')


async def main() -> None:
    """Every picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DEMO_TOKENS_PER_SECOND": "80"}
        function = LocalFunction(environment, data_folder=Path(folder))
        await talk(ChatApp(Connection(function)))
        function.stop()
    # Port 9 is discard's, and nobody's on any machine of today.
    await fail(ChatApp(Connection(Endpoint("http://127.0.0.1:9/v1"))))


async def talk(app: ChatApp) -> None:
    """An answer on its way, what is known about it, and the list of conversations."""
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "● local" in shown(app))
        for question in ("What is a weir?", "In short: how do locks work?"):
            await ask(pilot, question)
            await until(pilot, lambda: not app.screen.query_one(Prompt).held)
            await pilot.press("ctrl+n")
        await ask(pilot, "Explain tides with a table and some Python")
        await until(pilot, lambda: "explain_tides" in shown(app))
        take(app, "chat")
        await until(pilot, lambda: not app.screen.query_one(Prompt).held)
        await pilot.press("f3")
        await until(pilot, lambda: "stream id" in shown(app))
        take(app, "details")
        await pilot.press("escape", "ctrl+o")
        await until(pilot, lambda: "weir" in shown(app))
        take(app, "conversations")


async def fail(app: ChatApp) -> None:
    """An error, with the question that met it."""
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nothing answers" in shown(app))
        await ask(pilot, "Is anybody there?")
        await until(pilot, lambda: shown(app).find("Nothing answers") > shown(app).find("Is anybody there?") >= 0)
        take(app, "error")


async def ask(pilot: Pilot[Any], question: str) -> None:
    """Type it and send it."""
    await pilot.press(*question, "enter")
    await pilot.pause()


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    """Wait for it, with a bound."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await pilot.pause(0.05)


def shown(app: ChatApp) -> str:
    """The screen as text, near enough."""
    return "".join(re.findall(r"<text[^>]*>([^<]*)</text>", app.export_screenshot())).replace("&#160;", " ")


def take(app: ChatApp, name: str) -> None:
    """Write the picture; it loads nothing from anywhere."""
    (IMAGES / f"{name}.svg").write_text(_FONTS_FROM_AFAR.sub("", app.export_screenshot(title="Sluice")), encoding="utf-8")
    sys.stdout.write(f"{name}.svg\n")


if __name__ == "__main__":
    asyncio.run(main())
