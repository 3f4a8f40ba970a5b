"""How much of a long conversation is mounted."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

import sluice_tui
from sluice_tui.screens.shown_turns import MAX_CHARACTERS, MAX_TURNS, ShownTurns, first_fitting, last_fitting
from sluice_tui.session import Session, Turn, TurnState
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.question import Question
from sluice_tui.widgets.transcript import Transcript
from tests.tui.screens import shown, until, until_shown


def turn(number: int, length: int = 100) -> Turn:
    return Turn.stored(f"question {number}", f"answer {number} " + "x" * length, TurnState.FINISHED)


sizes = st.lists(st.integers(0, 30_000), min_size=1, max_size=60)


@given(sizes, st.data())
def test_what_is_mounted_is_within_the_bounds_and_as_much_as_fits(lengths: list[int], data: st.DataObject) -> None:
    turns = [Turn.stored("", "x" * length, TurnState.FINISHED) for length in lengths]
    end = data.draw(st.integers(1, len(turns)))

    first = first_fitting(turns, end)

    total = sum(lengths[first:end])
    assert end - first == 1 or (end - first <= MAX_TURNS and total <= MAX_CHARACTERS)
    assert first == 0 or end - first == MAX_TURNS or total + lengths[first - 1] > MAX_CHARACTERS
    assert last_fitting(turns, first) >= end


class Shelf(App[None]):
    """A transcript of a long conversation, and nothing else."""

    CSS_PATH = Path(sluice_tui.__file__).with_name("app.tcss")

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.transcript = Transcript()
        self.turns = ShownTurns(self.transcript, {"page_up": "pageup", "follow": "ctrl+end"})

    def compose(self) -> ComposeResult:
        yield self.turns.earlier
        yield self.transcript
        yield self.turns.later

    async def on_mount(self) -> None:
        await self.turns.show(self.session)

    async def on_transcript_reached_top(self) -> None:
        await self.turns.older()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(Session(turns=[turn(number) for number in range(100)]))


async def test_the_newest_are_there_and_older_ones_come_when_the_reader_goes_up(shelf: Shelf) -> None:
    async with shelf.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "answer 99")
        assert len(shelf.query(Answer)) == MAX_TURNS

        def oldest() -> str:
            return shelf.query(Question).first().text

        for _ in range(3):
            before = oldest()
            shelf.transcript.scroll_home(animate=False)
            await until(pilot, lambda seen=before: oldest() != seen)  # type: ignore[misc]
            assert len(shelf.query(Answer)) <= MAX_TURNS
            # What was read has stayed where it was.
            await until(pilot, lambda seen=before: seen in shown(shelf))  # type: ignore[misc]

        await shelf.turns.newest()
        await until_shown(pilot, "answer 99")


async def test_two_ways_up_at_once_show_no_turn_twice_though_all_say_the_same() -> None:
    turns = [Turn.stored("again?", "yes", TurnState.FINISHED) for _ in range(100)]
    shelf = Shelf(Session(turns=turns))
    async with shelf.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "150 earlier" in str(shelf.turns.earlier.render()))
        await asyncio.gather(shelf.turns.older(), shelf.turns.older())

        assert "102 earlier" in str(shelf.turns.earlier.render())
        assert len(shelf.query(Answer)) == MAX_TURNS


async def test_a_very_long_question_is_shown_by_its_beginning() -> None:
    shelf = Shelf(Session(turns=[Turn.stored("word " * 200_000, "fine", TurnState.FINISHED)]))
    async with shelf.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "992,000 more characters were sent")
