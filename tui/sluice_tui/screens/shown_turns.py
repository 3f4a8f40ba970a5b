"""Which turns of a session are mounted: the newest at first, older ones when the reader goes up to them.

However long the conversation, what is mounted is bounded; the texts themselves are small and stay in the session.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual.widget import Widget
from textual.widgets import Static

from sluice_tui.key_names import spelt
from sluice_tui.safety import Inert, inert, inert_line
from sluice_tui.session import Session, Turn, TurnState
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.question import Question
from sluice_tui.widgets.transcript import Transcript

MAX_TURNS = 25
MAX_CHARACTERS = 60_000
"""About 15,000 tokens."""


MAX_QUESTION_CHARACTERS = 8_000

_BEFORE = 5
"""So many turns are mounted before the one that the reader goes to, so that there is something to scroll to."""


@dataclass(slots=True, eq=False)
class ShownTurn:
    """The widgets of one turn."""

    turn: Turn
    question: Question
    answer: Answer

    @classmethod
    def of(cls, turn: Turn) -> "ShownTurn":
        """A turn that has ended, whole."""
        answer = Answer(inert_line(turn.agent, 60))
        answer.append(inert(turn.text))
        answer.end(note_of(turn))
        return cls(turn, question_of(turn), answer)


class Marker(Static):
    """Says how much is left out where it stands."""

    def tell(self, turns: int, words: str) -> None:
        """So many turns; nothing is said of none."""
        self.display = turns > 0
        self.update(f"{2 * turns:,} {words}")


class ShownTurns:
    """A run of a session's turns, mounted in the transcript; the markers, above and below it, tell of the others.

    `keys` by their names in the settings.
    """

    def __init__(self, transcript: Transcript, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._transcript = transcript
        self._session = Session()
        self._shown: list[ShownTurn] = []
        self._moving = asyncio.Lock()
        """Held while turns are mounted or taken away: two at once would show a turn twice."""
        self.earlier, self.later = Marker(markup=False), Marker(markup=False)

    @property
    def turns(self) -> Sequence[Turn]:
        """All of the session's, mounted or not."""
        return self._session.turns

    async def show(self, session: Session) -> None:
        """The end of this session, in place of everything that was shown."""
        async with self._moving:
            self._session = session
            await self._show_until(len(session.turns))

    async def begin(self, turn: Turn, author: Inert) -> Answer:
        """A new turn at the end of the session; the oldest ones leave when there are too many."""
        async with self._moving:
            if self.later.display:
                await self._show_until(len(self._session.turns) - 1)
            shown = ShownTurn(turn, question_of(turn), Answer(author))
            self._shown.append(shown)
            await self._transcript.mount_all([shown.question, shown.answer])
            self._transcript.follow()
            await self._trim_top()
            return shown.answer

    async def again(self, turn: Turn, author: Inert) -> Answer:
        """Another answer in place of the session's last one."""
        async with self._moving:
            if self.later.display:
                await self._show_until(len(self._session.turns))
            shown = self._shown[-1]
            await shown.answer.remove()
            shown.turn, shown.answer = turn, Answer(author)
            await self._transcript.mount(shown.answer, after=shown.question)
            self._transcript.follow()
            return shown.answer

    async def cut(self, turns: Sequence[Turn]) -> None:
        """Take these away: they are of this conversation no more."""
        async with self._moving:
            gone = [shown for shown in self._shown if shown.turn in turns]
            self._shown = [shown for shown in self._shown if shown not in gone]
            await self._transcript.remove_children(_widgets(gone))
            if self.later.display or not self._shown:
                await self._show_until(len(self._session.turns))

    async def older(self) -> None:
        """Some more above the first, and as many less at the end."""
        async with self._moving:
            if self._session.active or not (place := self._place()):
                return
            first = first_fitting(self._session.turns, place, MAX_TURNS // 2, MAX_CHARACTERS // 2)
            kept = max(0, last_fitting(self._session.turns, first) - place)
            added = [ShownTurn.of(turn) for turn in self._session.turns[first:place]]
            await self._drop_after(kept)
            self._transcript.prepend(_widgets(added))
            self._shown = [*added, *self._shown]
            self._mark()

    async def newest(self) -> None:
        """Back to the end, where it is not mounted."""
        async with self._moving:
            if self.later.display:
                await self._show_until(len(self._session.turns))

    async def go_to(self, turn: Turn, *, answer: bool) -> bool:
        """Show this question, or the answer to it, at the top. False where an answer on its way would have to leave."""
        async with self._moving:
            shown = self._found(turn)
            if not shown and turn in self._session.turns and not self._session.active:
                first = self._session.turns.index(turn)
                await self._show(
                    first_fitting(self._session.turns, first, _BEFORE), last_fitting(self._session.turns, first)
                )
                shown = self._found(turn)
            if shown:
                self._transcript.read_from(shown.answer if answer else shown.question)
            return shown is not None

    def _found(self, turn: Turn) -> ShownTurn | None:
        return next((shown for shown in self._shown if shown.turn is turn), None)

    async def _show_until(self, end: int) -> None:
        await self._show(first_fitting(self._session.turns, end), end)
        self._transcript.follow()

    async def _show(self, first: int, end: int) -> None:
        """This run of the session's turns, in place of everything that was shown."""
        self._shown = [ShownTurn.of(turn) for turn in self._session.turns[first:end]]
        # Both are begun before either is waited for: whoever is stopped meanwhile leaves no empty screen.
        gone, coming = self._transcript.remove_children(), self._transcript.mount_all(_widgets(self._shown))
        await gone
        await coming
        self._mark()

    async def _drop_after(self, kept: int) -> None:
        """Keep so many turns; what was said below the others goes with them."""
        if kept < len(self._shown):
            mounted = list(self._transcript.children)
            self._shown = self._shown[:kept]
            after = mounted.index(self._shown[-1].answer) + 1 if self._shown else 0
            await self._transcript.remove_children(mounted[after:])

    async def _trim_top(self) -> None:
        first = first_fitting(self._session.turns, len(self._session.turns)) - self._place()
        gone, self._shown = self._shown[: max(0, first)], self._shown[max(0, first) :]
        await self._transcript.remove_children(_widgets(gone))
        self._mark()

    def _place(self) -> int:
        """Of the first that is mounted among the session's turns."""
        return self._session.turns.index(self._shown[0].turn) if self._shown else 0

    def _mark(self) -> None:
        before = self._place()
        self.earlier.tell(before, f"earlier messages: {spelt(self._keys['page_up'])} shows them")
        later = len(self._session.turns) - before - len(self._shown)
        self.later.tell(later, f"later messages: {spelt(self._keys['follow'])} shows them")


def first_fitting(turns: Sequence[Turn], end: int, most: int = MAX_TURNS, characters: int = MAX_CHARACTERS) -> int:
    """Where the run of turns begins that ends before `end` and is within the bounds; one turn always is."""
    first = end
    while first > 0 and end - first < most:
        characters -= _size(turns[first - 1])
        if characters < 0 and first < end:
            break
        first -= 1
    return first


def last_fitting(turns: Sequence[Turn], first: int) -> int:
    """Where the run of turns ends that begins at `first` and is within the bounds; one turn always is."""
    room, end = MAX_CHARACTERS, first
    while end < len(turns) and end - first < MAX_TURNS:
        room -= _size(turns[end])
        if room < 0 and end > first:
            break
        end += 1
    return end


def question_of(turn: Turn) -> Question:
    """What was asked; of a very long text the beginning, which tells what it was."""
    hidden = len(turn.question) - MAX_QUESTION_CHARACTERS
    if hidden <= 0:
        return Question(turn.question)
    return Question(f"{turn.question[:MAX_QUESTION_CHARACTERS]}…\n\n({hidden:,} more characters were sent.)")


def note_of(turn: Turn) -> Inert | None:
    """Why an answer ended where it did, where the model did not simply finish."""
    match turn.state:
        case TurnState.CANCELLED:
            return Inert("You stopped this answer." if turn.started_at else "This answer was interrupted.")
        case TurnState.FAILED:
            if turn.text:
                return Inert("This is not the whole answer.")
            return inert_line(turn.report.what) if turn.report else None
    if not turn.text:
        return Inert("The model sent no text.")
    if turn.finish_reason not in ("stop", None):
        return Inert(f"The model stopped early: {inert_line(str(turn.finish_reason), 60)}")
    if turn.persisted is False:
        return Inert("The server could not save this answer yet; it keeps trying.")
    return None


def _size(turn: Turn) -> int:
    return min(len(turn.question), MAX_QUESTION_CHARACTERS) + len(turn.text)


def _widgets(shown: Sequence[ShownTurn]) -> list[Widget]:
    return [widget for each in shown for widget in (each.question, each.answer)]
