"""Lines on the screen: a widget that makes the rows that are seen, when they are seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, split_graphemes
from rich.segment import Segment
from textual import events
from textual.filter import LineFilter
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from sluice_tui.rendering.layout import Layout
from sluice_tui.rendering.lines import Line, Piece
from sluice_tui.rendering.theme import Palette

_CACHED_ROWS = 300
_NO_SPACE = Spacing()

Place = tuple[int, int]
"""A line, and which of its rows: what stays the same when the width changes."""


class TextView(Widget, can_focus=False):
    """Some lines, wrapped to the width. It is one widget however long it is, and holds no rows but those last seen."""

    @dataclass
    class Grown(Message):
        """There is more to read at the end."""

    @dataclass
    class AddressClicked(Message):
        """A link was clicked; nothing opens by itself."""

        target: str

    def __init__(self, lines: Sequence[Line] = ()) -> None:
        super().__init__()
        self._lines = lines
        self._layout = Layout()
        self._palette: Palette | None = None
        self._drawn: dict[int, Strip] = {}
        self._filters: Sequence[LineFilter] = ()

    def show(self, lines: Sequence[Line], changed: int = 0) -> None:
        """Show these lines, which are new from `changed` on."""
        self._lines = lines
        if not self._layout.width:
            self.refresh(layout=True)
            return
        height = self._layout.height
        first = self._layout.lay(lines, self._layout.width, changed)
        self._drawn = {y: strip for y, strip in self._drawn.items() if y < first}
        grown = self._layout.height != height
        region = Region(0, first + self.gutter.top, self.size.width, max(height, self._layout.height) - first)
        self.refresh(region, layout=grown)
        if grown:
            self.post_message(self.Grown())

    def place_of(self, row: int) -> Place:
        """What is on that row of the content."""
        return self._layout.place_of(row)

    def row_of(self, place: Place) -> int:
        """On which row of the content that is now."""
        return self._layout.row_of(*place)

    # -- Textual's side

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 (Textual's signature)
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 (Textual's signature)
        """The rows at that width."""
        if width != self._layout.width:
            self._layout.lay(self._lines, width)
            self._drawn.clear()
        return self._layout.height

    def notify_style_update(self) -> None:
        """The theme or the background has changed."""
        self._palette = None
        self._drawn.clear()
        super().notify_style_update()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows that are seen.

        Textual's own cache is emptied whenever the height changes, and else keeps every row that was ever seen: it is used
        only where there is a border to draw.
        """
        if self.gutter != _NO_SPACE:
            return super().render_lines(crop)
        filters = self.get_line_filters()
        if filters != self._filters or len(self._drawn) > _CACHED_ROWS:
            self._filters = filters
            self._drawn.clear()
        return [self._draw(y).crop(crop.x, crop.right) for y in crop.line_range]

    def render_line(self, y: int) -> Strip:
        """One row of the content, with the places in it that a selection is told by."""
        return self._strip(y, offsets=True)

    def _draw(self, y: int) -> Strip:
        strip = self._drawn.get(y)
        if strip is None:
            strip = self._strip(y, offsets=False)
            for line_filter in self._filters:
                strip = strip.apply_filter(line_filter, self.background_colors[1])
            self._drawn[y] = strip
        return strip

    def _strip(self, y: int, *, offsets: bool) -> Strip:
        width = self.content_size.width
        if y >= self._layout.height:
            return Strip.blank(width, self._colours[""].rich_style)
        row = self._layout.row(y)
        segments = self._segments(row.pieces, y, offsets)
        used = sum(cell_len(segment.text) for segment in segments)
        if used < width:
            segments.append(Segment(" " * (width - used), self._colours[row.fill].rich_style))
        return Strip(segments, max(used, width)).crop(0, width)

    def _segments(self, pieces: Sequence[Piece], y: int, offsets: bool) -> list[Segment]:
        selection = self.text_selection
        span = selection.get_span(y) if selection else None
        segments, place = [], 0
        for piece in pieces:
            for text, selected in _cut(piece.text, place, span):
                style = self._colours[piece.style] + self._selected if selected else self._colours[piece.style]
                segments.append(Segment(text, style.rich_style_with_offset(place, y) if offsets else style.rich_style))
                place += len(text)
        return segments

    @property
    def _colours(self) -> Palette:
        if self._palette is None:
            self._palette = Palette(self.visual_style)
        return self._palette

    @property
    def _selected(self) -> Style:
        return Style.from_styles(self.screen.get_component_styles("screen--selection"))

    # -- selecting and clicking

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002 (Textual's signature)
        """Draw it."""
        self._drawn.clear()
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text as it was written: rows that only the width has parted are put together again."""
        first = selection.start.y if selection.start else 0
        last = min(selection.end.y if selection.end else self._layout.height, self._layout.height - 1)
        parts: list[str] = []
        for y in range(max(0, first), last + 1):
            row = self._layout.row(y)
            parts.append(_copied(row.pieces, selection.get_span(y)))
            if y < last:
                parts.append(row.joint)
        return "".join(parts), "\n"

    def on_click(self, event: events.Click) -> None:
        """Tell which link it was."""
        offset = event.get_content_offset(self)
        if offset is not None and offset.y < self._layout.height:
            place = _place_at(self._layout.row(offset.y).pieces, offset.x)
            if target := self._layout.link_at(offset.y, place):
                self.post_message(self.AddressClicked(target))


def _cut(text: str, place: int, span: tuple[int, int] | None) -> list[tuple[str, bool]]:
    """The parts of a text that are in the selected span of its row, and those that are not."""
    if span is None:
        return [(text, False)]
    start = max(0, span[0] - place)
    end = len(text) if span[1] == -1 else max(start, span[1] - place)
    parts = [(text[:start], False), (text[start:end], True), (text[end:], False)]
    return [part for part in parts if part[0]]


def _copied(pieces: Sequence[Piece], span: tuple[int, int] | None) -> str:
    parts, place = [], 0
    for piece in pieces:
        if not piece.decoration:
            parts += [text for text, selected in _cut(piece.text, place, span) if selected]
        place += len(piece.text)
    return "".join(parts)


def _place_at(pieces: Sequence[Piece], cell: int) -> int:
    """The character in a cell of a row."""
    graphemes, _ = split_graphemes("".join(piece.text for piece in pieces))
    for start, _, cells in graphemes:
        cell -= cells
        if cell < 0:
            return start
    return graphemes[-1][1] if graphemes else 0
