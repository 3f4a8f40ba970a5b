"""Find a message of the conversation: to go to it, or to copy it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from sluice_tui import clipboard
from sluice_tui.bindings import bound
from sluice_tui.safety import Inert, inert, inert_line
from sluice_tui.session import Turn
from sluice_tui.widgets.search_list import Item, SearchList

_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A question, or the answer to it."""

    turn: Turn
    is_answer: bool

    @property
    def text(self) -> Inert:
        """All of it, fit to be shown and copied."""
        return inert(self.turn.text if self.is_answer else self.turn.question)


class FindScreen(ModalScreen[Found | None]):
    """The messages of these turns, the newest first. What is typed is looked for in the whole of each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        bound("copy_answer", "copy", show=True),
    ]

    def __init__(self, turns: Sequence[Turn]) -> None:
        super().__init__()
        self._messages = {str(number): message for number, message in enumerate(_newest_first(turns))}
        self._list = SearchList(
            [_item(key, message) for key, message in self._messages.items()], empty="Nothing is said yet."
        )

    def compose(self) -> ComposeResult:
        """The list on the whole screen, its keys below."""
        with Vertical(classes="page"):
            yield Static("Find a message · Enter goes to it", markup=False, classes="title")
            yield self._list
        yield Footer(compact=True, show_command_palette=False)

    @on(SearchList.Chosen)
    def _go(self, message: SearchList.Chosen) -> None:
        self.dismiss(self._messages[message.key])

    async def action_copy(self) -> None:
        """Copy the one under the cursor."""
        if item := self._list.highlighted:
            self.notify(f"Message copied {await clipboard.copy(self.app, self._messages[item.key].text)}.")


def _newest_first(turns: Sequence[Turn]) -> Iterator[Found]:
    for turn in reversed(turns):
        if turn.text:
            yield Found(turn, is_answer=True)
        yield Found(turn, is_answer=False)


def _item(key: str, message: Found) -> Item:
    author = inert_line(message.turn.agent, 40) if message.is_answer else "You"
    return Item(key, Inert(f"{author}: {inert_line(message.text, _NAME_CHARACTERS)}"), text=message.text)
