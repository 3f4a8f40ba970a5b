"""Choose one of several things."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from sluice_tui.widgets.search_list import Item, SearchList


class PickScreen(ModalScreen[str | None]):
    """The chosen item's key, None when nothing was chosen. `free`: what is typed may stand for an item of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Close")]

    def __init__(self, title: str, items: Sequence[Item], *, current: str = "", empty: str = "", free: bool = False) -> None:
        super().__init__()
        self._title = title
        self._list = SearchList(items, current, empty)
        self._free = free

    def compose(self) -> ComposeResult:
        """A box over the chat."""
        with Vertical(classes="box"):
            yield Static(self._title, markup=False, classes="title")
            yield self._list
            yield Static("Enter chooses · Esc closes", markup=False, classes="hint")

    @on(SearchList.Chosen)
    def _chosen(self, message: SearchList.Chosen) -> None:
        self.dismiss(message.key)

    @on(SearchList.Typed)
    def _typed(self, message: SearchList.Typed) -> None:
        if self._free:
            self.dismiss(message.text)
