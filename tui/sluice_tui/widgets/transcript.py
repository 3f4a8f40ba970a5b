"""The conversation, oldest first, and the place where the reader is in it."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from textual import on
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.layout import DockArrangeResult
from textual.message import Message
from textual.reactive import var
from textual.scrollbar import ScrollBar
from textual.widget import Widget

from sluice_tui import clipboard
from sluice_tui.rendering import highlighting
from sluice_tui.safety import Inert, inert_line
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.text_view import Place, TextView

_QUIET_SECONDS = 1.0


class _Reading(NamedTuple):
    """What the reader has at the top: a widget, and a line of it or, where it has none, a row."""

    widget: Widget
    row: int
    place: Place | None


class Transcript(VerticalScroll, can_focus=False):
    """Questions, answers and panels. It follows the end only while the reader is there; else what is read stays in place.

    Both hold at every change: of the text, of the width, of what comes before.
    """

    new_below: var[bool] = var(False)
    """Whether something has arrived that the reader, who is elsewhere, has not seen."""

    @dataclass
    class NewBelow(Message):
        """`new_below` has changed."""

        waiting: bool

    class ReachedTop(Message):
        """The reader has scrolled to the beginning of what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.at_end = True
        self._reading: _Reading | None = None
        self._arranged: DockArrangeResult | None = None
        self._tops: list[int] = []
        self._widgets: list[Widget] = []

    def on_mount(self) -> None:
        """Make ready for code, when everything is drawn."""
        self.set_timer(_QUIET_SECONDS, lambda: self.run_worker(highlighting.prepare, thread=True))

    # -- what is in it

    @property
    def answers(self) -> list[Answer]:
        """The answers, oldest first."""
        return list(self.query_children(Answer))

    def begin_answer(self, author: Inert) -> Answer:
        """An answer that is still to be written, at the end, where the reader goes too."""
        answer = Answer(author)
        self.mount(answer)
        self.follow()
        return answer

    def add_panel(self, panel: Widget) -> None:
        """Anything else, at the end; the reader stays where they are."""
        self.mount(panel)
        self._announce()

    def prepend(self, widgets: Sequence[Widget]) -> None:
        """What came before the first; the reader stays where they are."""
        if widgets:
            self.mount(*widgets, before=0 if self.children else None)

    def clear(self) -> None:
        """Empty it."""
        self.remove_children()
        self.follow()

    # -- where the reader is

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self.at_end, self.new_below = True, False
        self._arranged = None  # where nothing has changed, Textual gives the same arrangement again
        self.refresh(layout=True)

    def read_from(self, widget: Widget) -> None:
        """Go to the beginning of what this widget shows, and stay there."""
        self.at_end, self._reading = False, _Reading(widget, 0, None)
        self._arranged = None
        self.refresh(layout=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The reader moves, with whatever: away from the end with the first row, and back at it again."""
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y:
            self.at_end, self.new_below = True, False
        elif new_value < old_value:
            self.at_end = False
            if new_value == 0:
                self.post_message(self.ReachedTop())
        self._reading = self._at(round(new_value))

    def watch_new_below(self, waiting: bool) -> None:
        """Tell the screen."""
        self.post_message(self.NewBelow(waiting))

    def arrange(self, size: Size, optimal: bool = False) -> DockArrangeResult:
        """Put what was read where it was, before anything is drawn: nothing is ever seen in another place."""
        arranged = super().arrange(size, optimal)
        if arranged is not self._arranged:
            self._arranged = arranged
            self._hold(arranged, size)
        return arranged

    def _hold(self, arranged: DockArrangeResult, size: Size) -> None:
        places = sorted(
            ((placement.region.y, order, placement.widget) for order, placement in enumerate(arranged.placements)),
            key=lambda place: place[:2],
        )
        self._tops, self._widgets = [top for top, _, _ in places], [widget for _, _, widget in places]
        end = max(0, arranged.spatial_map.total_region.bottom - size.height)
        row = end if self.at_end else self._row_of(self._reading)
        if row is not None and round(self.scroll_y) != row:
            self._jump(min(row, end))
        self._reading = self._at(round(self.scroll_y))

    def _jump(self, row: int) -> None:
        """As Textual's own anchor does it while it arranges: no watcher is called, which would arrange again."""
        self.set_reactive(Widget.scroll_y, row)
        self.set_reactive(Widget.scroll_target_y, row)
        self.vertical_scrollbar.set_reactive(ScrollBar.position, row)

    def _at(self, row: int) -> _Reading | None:
        index = bisect_right(self._tops, row) - 1
        if index < 0:
            return None
        widget = self._widgets[index]
        within = row - self._tops[index] - widget.gutter.top
        return _Reading(widget, within, widget.place_of(within) if isinstance(widget, TextView) and within >= 0 else None)

    def _row_of(self, reading: _Reading | None) -> int | None:
        if reading is None or reading.widget not in self._widgets:
            return None
        top = self._tops[self._widgets.index(reading.widget)] + reading.widget.gutter.top
        if reading.place and isinstance(reading.widget, TextView):
            return top + reading.widget.row_of(reading.place)
        return top + reading.row

    @on(TextView.Grown)
    def _announce(self) -> None:
        if not self.at_end:
            self.new_below = True

    # -- what is copied from it

    async def action_copy_selection(self) -> None:
        """Copy what is selected."""
        await self.copy("Selection", self.screen.get_selected_text() or "")

    def action_toggle_reasoning(self) -> None:
        """Show what the model thought before the last answer that tells it, or hide it."""
        for answer in reversed(self.answers):
            if answer.has_reasoning:
                answer.toggle_reasoning()
                return

    @on(TextView.AddressClicked)
    async def _copy_address(self, message: TextView.AddressClicked) -> None:
        await self.copy("Address", message.target)
        self.notify(inert_line(message.target), title="Address", markup=False)

    async def copy(self, what: str, text: str) -> None:
        """Put a text on the clipboard, and say so, or that there is none."""
        if not text:
            self.notify(f"There is no {what.lower()} to copy.", severity="warning")
            return
        self.notify(f"{what} copied {await clipboard.copy(self.app, text)}.")
