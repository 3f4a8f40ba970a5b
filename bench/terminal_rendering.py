"""What it costs the terminal to show an answer while it streams, and to react with a long conversation on the screen.

`.venv/bin/python -m bench.terminal_rendering`, from the repository's root; `--help` lists what to leave out. Each
measurement is a process of its own, at 120×40, without a terminal: what is drawn is made and thrown away.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import cycle, pairwise
from pathlib import Path

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import Button, Markdown, TextArea

from sluice_tui.safety import inert
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.question import Question
from sluice_tui.widgets.transcript import Transcript

CHARACTERS_PER_TOKEN = 4
SIZE = (120, 40)
TICK_SECONDS = 0.01
HISTORY_TOKENS = 50_000
QUIET_SECONDS = 0.5
GIVE_UP = 3
"""A subject that takes so many times as long as the stream is left where it is."""

WORDS = (
    "The gate *governs* a `stream`: it lets in who **belongs** and keeps what [comes](https://a.test) whole, 日本語 too. "
)
SHAPES = {
    "prose": ["".join(WORDS * 4) + "\n\n"],
    "list": [f"- {WORDS}\n"],
    "table": [f"| {n} | {WORDS[:40]} | {'x' * (n % 17)} |\n" for n in range(50)],
    "fence": [
        "def gate(stream: Stream) -> None:\n",
        '    """Let in who belongs."""\n',
        "    return stream.open(1, 'two')  # three\n\n",
    ],
}
OPENINGS = {"table": "| a | b | c |\n|---|:-:|--:|\n", "fence": "```python\n"}
MIXED = "".join(
    (
        *("## A heading\n\n", *SHAPES["prose"], *SHAPES["list"] * 6, "\n"),
        *(OPENINGS["table"], *SHAPES["table"][:6], "\n"),
        *(OPENINGS["fence"], *SHAPES["fence"] * 5, "```\n\n"),
    )
)


def text_of(shape: str, tokens: int) -> str:
    """An answer of one shape and that many tokens."""
    if shape == "mixed":
        return (MIXED * (tokens * CHARACTERS_PER_TOKEN // len(MIXED) + 1))[: tokens * CHARACTERS_PER_TOKEN]
    parts, length, lines = [OPENINGS.get(shape, "")], 0, cycle(SHAPES[shape])
    while length < tokens * CHARACTERS_PER_TOKEN:
        parts.append(next(lines))
        length += len(parts[-1])
    return "".join(parts)[: tokens * CHARACTERS_PER_TOKEN]


class Lag:
    """How late the event loop runs what is due: what somebody who types would feel."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            due = time.perf_counter() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._late.append(time.perf_counter() - due)

    def since(self) -> list[float]:
        """In milliseconds, in order of size, since the last call."""
        late, self._late = sorted(1000 * value for value in self._late), []
        return late or [0.0]


class Ours(App[None]):
    """The transcript, and a prompt to type in."""

    CSS_PATH = Path(__file__).parent.parent / "tui" / "sluice_tui" / "app.tcss"

    def compose(self) -> ComposeResult:
        yield Transcript()
        yield TextArea()
        yield Button("focus", compact=True)

    async def begin(self) -> Callable[[str], Awaitable[object]]:
        answer = self.query_one(Transcript).begin_answer(inert("model"))

        async def write(text: str) -> None:
            answer.append(inert(text))

        return write

    async def past(self, texts: list[str]) -> None:
        for text in texts:
            answer = Answer(inert("model"))
            answer.append(inert(text))
            answer.end()
            await self.query_one(Transcript).mount_all([Question("and then?"), answer])
        self.query_one(Transcript).follow()


class Textuals(App[None]):
    """Textual's own MarkdownStream, in the same place."""

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.anchor()
        yield TextArea()
        yield Button("focus", compact=True)

    async def begin(self) -> Callable[[str], Awaitable[object]]:
        markdown = Markdown()
        await self.query_one(VerticalScroll).mount(markdown)
        return Markdown.get_stream(markdown).write

    async def past(self, texts: list[str]) -> None:
        await self.query_one(VerticalScroll).mount_all([Markdown(text) for text in texts])


SUBJECTS: dict[str, type[Ours] | type[Textuals]] = {"sluice": Ours, "textual": Textuals}


def resident_mib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


async def stream(pilot: Pilot[None], app: Ours | Textuals, text: str, rate: float) -> dict[str, float]:
    """Write an answer token by token; `rate` is tokens per second, 0 is as fast as it is taken."""
    pieces = [text[place : place + CHARACTERS_PER_TOKEN] for place in range(0, len(text), CHARACTERS_PER_TOKEN)]
    write = await app.begin()
    await write("Begun.\n\n")
    await pilot.pause(0.3)
    before, lag = resident_mib(), Lag()
    began, cpu, marks = time.perf_counter(), time.process_time(), []
    limit = GIVE_UP * len(pieces) / rate if rate else 60
    for number, piece in enumerate(pieces):
        if number % max(1, len(pieces) // 5) == 0:
            marks.append((number, time.process_time()))
        await write(piece)
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()) if rate else 0)
        if time.perf_counter() - began > limit:
            pieces = pieces[: number + 1]
            break
    marks.append((len(pieces), time.process_time()))
    while not await _is_quiet(pilot) and time.perf_counter() - began < limit:
        pass
    late, taken = lag.since(), time.process_time() - cpu
    costs = [(later - earlier) / (end - start) for (start, earlier), (end, later) in pairwise(marks)]
    return {
        "tokens": len(pieces),
        "seconds": time.perf_counter() - began - QUIET_SECONDS,
        "cpu_seconds": taken,
        "end_by_start": costs[-1] / costs[0] if rate else 0.0,
        "worst_stall_ms": late[-1],
        "p99_stall_ms": late[int(len(late) * 0.99)],
        "memory_mib": resident_mib() - before,
    }


async def react(pilot: Pilot[None], app: Ours | Textuals, tokens: int) -> dict[str, float]:
    """The longest stall after a key, a change of focus, a change of size, and scrolling, with so many tokens mounted."""
    await app.past([text_of("mixed", 1000)] * (tokens // 1000))
    while not await _is_quiet(pilot):
        pass
    lag, worst = Lag(), {}
    app.query_one(TextArea).focus()

    async def measured(name: str, act: Callable[[int], Awaitable[object]]) -> None:
        found = []
        for number in range(7):
            await pilot.pause(0.3)
            lag.since()
            await act(number)
            await pilot.pause(0.3)
            found.append(lag.since()[-1])
        worst[name] = sorted(found)[len(found) // 2]

    async def resize(number: int) -> None:
        await pilot.resize_terminal((100, 80)[number % 2], SIZE[1])

    await measured("key_ms", lambda _: pilot.press("x"))
    await measured("focus_ms", lambda number: pilot.press("tab") if number % 2 == 0 else pilot.press("shift+tab"))
    await measured("resize_ms", resize)
    await measured("page_ms", lambda _: _scrolled(app))
    return worst


async def _scrolled(app: Ours | Textuals) -> None:
    app.query(VerticalScroll).first().scroll_page_up(animate=False)


async def _is_quiet(pilot: Pilot[None]) -> bool:
    cpu = time.process_time()
    await pilot.pause(QUIET_SECONDS)
    return time.process_time() - cpu < QUIET_SECONDS / 10


async def measure(subject: str, shape: str, tokens: int, rate: float) -> dict[str, float]:
    app = SUBJECTS[subject]()
    gc.freeze()  # as the app does it
    async with app.run_test(size=SIZE) as pilot:
        if shape == "history":
            return await react(pilot, app, tokens)
        return await stream(pilot, app, text_of(shape, tokens), rate)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.terminal_rendering", description=__doc__)
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--shapes", nargs="+", choices=[*SHAPES, "mixed", "history"], default=[*SHAPES, "mixed", "history"])
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--rates", nargs="+", type=float, default=[200, 0], help="tokens per second; 0 is full speed")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for shape in options.shapes:
        for rate in options.rates if shape != "history" else [0.0]:
            for subject in options.subjects:
                _run(options, subject, shape, rate)


def _run(options: argparse.Namespace, subject: str, shape: str, rate: float) -> None:
    tokens = HISTORY_TOKENS if shape == "history" else options.tokens
    if options.alone:
        print(json.dumps(asyncio.run(measure(subject, shape, tokens, rate))))
        return
    asked = ["--subjects", subject, "--shapes", shape, "--tokens", str(options.tokens), "--rates", str(rate), "--alone"]
    command = [sys.executable, "-m", "bench.terminal_rendering", *asked]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    figures = "  ".join(f"{name} {value:,.1f}" for name, value in told.items())
    print(f"{shape:<8} {f'{rate:.0f}/s' if rate else 'full':<6} {subject:<8} {figures}", flush=True)


if __name__ == "__main__":
    main()
