"""Answers as they are rendered: the same whole as in pieces, and nothing in them hides, vanishes or acts."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Static
from textual.widgets.markdown import MarkdownFence

from sluice_tui.app import ChatApp
from sluice_tui.safety import Inert, inert
from sluice_tui.widgets.markdown import CURSOR, InertMarkdown
from tests.tui.fake_openai import FakeOpenAI, whole
from tests.tui.screens import shown, until, until_gone, until_shown

Blocks = list[tuple[str, str]]


class Rendering:
    """A running app that renders what it is given, on an event loop that serves all examples of a property."""

    def __init__(self, runner: asyncio.Runner, pilot: Pilot[None]) -> None:
        self._runner = runner
        self._pilot = pilot

    def blocks(self, pieces: list[str], *, end: bool = True) -> Blocks:
        """The kinds and texts of what is shown after the pieces were written."""
        return self._runner.run(self._blocks(pieces, end))

    async def _blocks(self, pieces: list[str], end: bool) -> Blocks:
        widget = InertMarkdown()
        await self._pilot.app.screen.mount(widget)
        await widget.write(Inert(""))
        for piece in pieces:
            await widget.write(inert(piece))
        if end:
            await widget.end()
        found = [(type(block).__name__, str(block.render())) for block in widget.query(Static)]
        assert widget.source == inert("".join(pieces))
        await widget.remove()
        return found


@pytest.fixture(scope="module")
def rendering() -> Iterator[Rendering]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        pilot = runner.run(stack.enter_async_context(App[None]().run_test()))
        yield Rendering(runner, pilot)
        runner.run(stack.aclose())


LINES = (
    *("# Heading", "text", "*a* **b** `c`", "- item", "  - nested", "1. one", "> quote", "", "", "---", "***", "===", "\\*"),
    *("```python", "```", "~~~", "x = 1", "    code", "| a | b |", "|---|---|", "| 1 | [/] |", "日本語 🇩🇪 é"),
    *("<think>", "</think>", "<b>bold</b>", "[1]: https://x.test 't'", "[t](u)", "![i](j)", "www.x.test", "[^1]"),
    *("&lt;&#x202e;&#27;", "\u2028", "a\u0085b", "\x1b[31m"),
)
documents = st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=6)), max_size=10).map("\n".join)


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({0, len(text), *(place for place in places if place < len(text))})
    return [text[start:end] for start, end in pairwise(ends)]


# Each example mounts widgets, several times, so that there are fewer of them.
@pytest.mark.timeout(300)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=documents, places=st.lists(st.integers(0, 120), max_size=8))
def test_an_answer_in_pieces_ends_as_it_would_have_looked_whole(rendering: Rendering, text: str, places: list[int]) -> None:
    assert rendering.blocks(cut(text, places)) == rendering.blocks([text])


@pytest.mark.timeout(300)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=documents, places=st.lists(st.integers(0, 120), max_size=8))
def test_at_most_one_cursor_is_shown_and_none_at_the_end(rendering: Rendering, text: str, places: list[int]) -> None:
    pieces = cut(text.replace(CURSOR, ""), places)

    assert sum(shown.count(CURSOR) for _, shown in rendering.blocks(pieces, end=False)) <= 1
    if text.strip():
        assert CURSOR not in str(rendering.blocks(pieces))


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 33 | 44 |\n\nafter",
        "- one\n  - two\n\n  three\n\n1. four\n2. five",
        "```python\ndef f():\n    return 1\n```\n> quote\n> more\n\n---\nend",
        "# A\n\nB\n===\n\n    code\n\n    more code\n",
    ],
)
def test_a_block_written_character_by_character_ends_as_it_would_have_looked_whole(rendering: Rendering, text: str) -> None:
    assert rendering.blocks(list(text)) == rendering.blocks([text])


def texts(rendering: Rendering, text: str) -> str:
    return "\n".join(shown for _, shown in rendering.blocks([text]))


@pytest.mark.parametrize(
    "text",
    ["<think>\nplan\n</think>", "<b>bold</b>", "<!-- secret -->", "<script>x</script>", "[1]: https://x.test", "<x y='z'>"],
)
def test_what_markdown_would_hide_is_shown(rendering: Rendering, text: str) -> None:
    assert texts(rendering, text).split() == text.split()


def test_characters_that_markdown_spells_out_are_inert_too(rendering: Rendering) -> None:
    assert texts(rendering, "a&#x202e;b&#xE0041;c &lt;ok&gt;") == "a⟨U+202E⟩b⟨U+E0041⟩c <ok>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[click](https://evil.test/a)", "click (https://evil.test/a)"),
        ("[https://good.test](https://evil.test)", "https://good.test (https://evil.test)"),
        ("[https://same.test](https://same.test)", "https://same.test"),
        ("<https://plain.test>", "https://plain.test"),
        ("www.plain.test", "www.plain.test"),
        ("![alt](https://x.test/i.png)", "alt (https://x.test/i.png)"),
        ("![](https://x.test/i.png)", "(https://x.test/i.png)"),
        ("[a **b**](x)", "a b (x)"),
    ],
)
def test_a_link_is_shown_with_its_true_target(rendering: Rendering, text: str, expected: str) -> None:
    assert texts(rendering, text) == expected


def test_line_separators_do_not_shift_blocks(rendering: Rendering) -> None:
    text = "one\u2028two\u0085three\x0bfour\n\n- item\n\n# heading"

    assert rendering.blocks(list(text)) == rendering.blocks([text])
    assert "one⟨U+2028⟩two⟨U+0085⟩three␋four" in texts(rendering, text)


@pytest.mark.parametrize("info", ["", "nonsense-language", "python title=x", "text"])
def test_a_fence_of_any_language_is_shown_as_it_stands(rendering: Rendering, info: str) -> None:
    assert texts(rendering, f"```{info}\nx = [1]\n```").strip() == "x = [1]"


async def test_a_fence_without_a_language_is_not_guessed_at(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = whole("```\nimport os\n```")
    async with app.run_test() as pilot:
        await pilot.press("x", "enter")
        await until_shown(pilot, "import os")
        await until(pilot, lambda: bool(app.screen.query(MarkdownFence)))

        assert app.screen.query_one(MarkdownFence).lexer == "text"


async def test_a_link_that_is_clicked_opens_nothing_and_is_copied(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = whole("[click me](https://evil.test/a_(b))")
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("x", "enter")
        await until_shown(pilot, "click me (https://evil.test/a_(b))")
        await until_gone(pilot, CURSOR)

        await pilot.click("MarkdownParagraph", offset=(2, 0))

        await until_shown(pilot, "Address copied")
        assert app.clipboard == "https://evil.test/a_(b)"


async def test_a_table_grows_row_by_row(app: ChatApp, server: FakeOpenAI) -> None:
    gate = threading.Event()
    server.script = ["| a | b |\n|---|---|\n| 1 | 2 |\n", gate, *whole("| 3 | [/] |\n| 5 | 6 |\n")]
    async with app.run_test() as pilot:
        await pilot.press("x", "enter")
        await until_shown(pilot, "2")
        gate.set()
        await until_shown(pilot, "[/]")
        await until_shown(pilot, "6")
        await until_gone(pilot, CURSOR)

        assert "3" in shown(app)
        assert not [cell for cell in app.screen.query("TableCells > *") if cell.tooltip]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("[bank](https://bank.example) and [https://bank.example](https://evil.example)", "(https://evil.example)"),
        ("[a](https://a.example) [b](https://b.example)", "(https://b.example)"),
        ("[https://bank.test/@evil.test](https://bank.test%2F@evil.test)", "(https://bank.test%2F@evil.test)"),
        ("<https://xn--80ak6aa92e.com/>", "(https://xn--80ak6aa92e.com/)"),
    ],
)
def test_every_link_shows_its_own_target(rendering: Rendering, source: str, target: str) -> None:
    assert target in texts(rendering, source)
