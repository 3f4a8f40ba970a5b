"""A list that what is typed narrows down. The focus stays in the search line; Up, Down and Enter work from there."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sluice_tui.safety import Inert, within_marks

NOTHING = Inert("")
_EXCERPT_CHARACTERS = 160
_MOVES = {"up": "cursor_up", "down": "cursor_down", "pageup": "page_up", "pagedown": "page_down"}


@dataclass(frozen=True, slots=True)
class Item:
    """One line, or two: what it is called, and what else there is to say. `key` is what a choice of it tells.

    What is typed is looked for in the `text` too, and where the name does not show it, the place in the text is shown.
    """

    key: str
    name: Inert
    about: Inert = NOTHING
    text: Inert = NOTHING

    def content(self, words: Sequence[str]) -> Content:
        """As it is shown to who looks for these words."""
        hidden = next((word for word in words if word not in self.name.casefold()), "") if self.text else ""
        name, about = Content(self.name), self._excerpt(hidden) if hidden else self.about
        return name + Content("\n") + Content.styled(about, "$foreground-muted") if about else name

    def _excerpt(self, word: str) -> str:
        place = self.text.casefold().find(word)
        if place < 0:
            return ""
        start = max(0, place - _EXCERPT_CHARACTERS // 4)
        excerpt = " ".join(self.text[start : start + _EXCERPT_CHARACTERS].split())
        return within_marks(f"…{excerpt}" if start else excerpt)


class SearchList(Vertical):
    """Items, the search line above them. `empty` stands where there is none."""

    @dataclass
    class Chosen(Message):
        """The user wants this one."""

        key: str

    @dataclass
    class Typed(Message):
        """Enter, where nothing in the list fits what is typed."""

        text: str

    def __init__(self, items: Sequence[Item] = (), current: str = "", empty: str = "") -> None:
        super().__init__()
        self._searched = _searched(items)
        self._current = current
        self._empty = empty
        self._search = Input(placeholder="Type to search", compact=True)
        self._list = OptionList(compact=True, markup=False)
        self._list.can_focus = False
        self._nothing = Static(markup=False, classes="nothing")

    def compose(self) -> ComposeResult:
        """The search line above the list."""
        yield self._search
        yield self._list
        yield self._nothing

    def on_mount(self) -> None:
        """Show what there is."""
        self._show(self._current)

    @property
    def highlighted(self) -> Item | None:
        """The one that the cursor is on."""
        option = self._list.highlighted_option
        return next((item for item, _ in self._searched if option and item.key == option.id), None)

    def put(self, items: Sequence[Item], empty: str = "") -> None:
        """Show these instead; the cursor stays on its item while there is one."""
        at, place = self.highlighted, self._list.highlighted
        self._searched, self._empty = _searched(items), empty
        self._show(at.key if at else self._current, place or 0)

    @on(Input.Changed)
    def _narrow(self, message: Input.Changed) -> None:
        message.stop()
        at = self.highlighted
        self._show(at.key if at else "")

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        if item := self.highlighted:
            self.post_message(self.Chosen(item.key))
        elif text := message.value.strip():
            self.post_message(self.Typed(text))

    @on(OptionList.OptionSelected)
    def _clicked(self, message: OptionList.OptionSelected) -> None:
        message.stop()
        if message.option.id is not None:
            self.post_message(self.Chosen(message.option.id))

    def on_key(self, event: events.Key) -> None:
        """Move in the list while the focus is above it."""
        if move := _MOVES.get(event.key):
            event.stop()
            event.prevent_default()
            getattr(self._list, f"action_{move}")()

    def _show(self, key: str, place: int = 0) -> None:
        words = self._search.value.casefold().split()
        fitting = [item for item, text in self._searched if all(word in text for word in words)]
        self._list.clear_options()
        self._list.add_options([Option(item.content(words), id=item.key) for item in fitting])
        places = [number for number, item in enumerate(fitting) if item.key == key]
        if fitting:
            self._list.highlighted = places[0] if places else min(place, len(fitting) - 1)
        self._list.display = bool(fitting)
        self._nothing.update("Nothing fits." if self._searched else self._empty)
        self._nothing.display = not fitting


def _searched(items: Sequence[Item]) -> list[tuple[Item, str]]:
    """Each with what is looked for in it: made once, since a conversation may be long."""
    return [(item, f"{item.name} {item.about} {item.text}".casefold()) for item in items]
