"""Logical lines: what a paragraph, a line of code or a table's row is before a width is known, and its rows when it is.

A style is a name, or several with spaces between them; colours are for whoever draws.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rich.cells import cell_len

from sluice_tui.rendering.columns import Columns
from sluice_tui.rendering.wrapping import row_starts

CURSOR = "▍"
"""What stands at the end of an answer that is still being written."""


class Span(NamedTuple):
    """A part of a text that has a style."""

    start: int
    end: int
    style: str


class Link(NamedTuple):
    """A part of a text that leads somewhere."""

    start: int
    end: int
    target: str


class Piece(NamedTuple):
    """A part of a row. Decoration is drawn, but not copied."""

    text: str
    style: str = ""
    decoration: bool = False


Prefix = tuple[Piece, ...]


class Row(NamedTuple):
    """One row of the screen; `joint` is what stands between it and the next one when both are copied."""

    pieces: list[Piece]
    joint: str = "\n"
    fill: str = ""


@dataclass(slots=True)
class Inline:
    """Text with styles and links; spans are in order and do not overlap."""

    text: str
    spans: Sequence[Span] = ()
    links: Sequence[Link] = ()

    def pieces(self, start: int, end: int, style: str) -> Iterator[Piece]:
        """The part between two places, cut where its style changes."""
        spans = self.spans
        place = start
        for index in range(max(0, bisect_right(spans, start, key=_start) - 1), len(spans)):
            span = spans[index]
            if span.start >= end:
                break
            if span.end <= place:
                continue
            if span.start > place:
                yield Piece(self.text[place : span.start], style)
            stop = min(span.end, end)
            yield Piece(self.text[max(place, span.start) : stop], f"{style} {span.style}")
            place = stop
        if place < end:
            yield Piece(self.text[place:end], style)

    def with_cursor(self) -> "Inline":
        """The same, still being written."""
        text = self.text.rstrip("\n")
        end = len(text)
        return Inline(text + CURSOR, [*self.spans, Span(end, end + 1, "cursor")], self.links)


def _start(span: Span) -> int:
    return span.start


class Line(Protocol):
    """One logical line."""

    def height(self, width: int, /) -> int:
        """How many rows it takes."""

    def row(self, width: int, index: int, /) -> Row:
        """One of them."""

    def with_cursor(self) -> "Line | None":
        """The same, still being written; None where a cursor cannot stand."""

    def link_at(self, width: int, index: int, place: int, /) -> str | None:
        """Where the character at that place of that row leads."""


class OneRow(ABC):
    """A line that is drawn, not written: always one row, without text to go on or links."""

    def height(self, _width: int, /) -> int:
        """Always one."""
        return 1

    @abstractmethod
    def row(self, width: int, _index: int, /) -> Row:
        """What is drawn."""

    def with_cursor(self) -> None:
        """Nothing is written here."""
        return None

    def link_at(self, _width: int, _index: int, _place: int, /) -> None:
        """It leads nowhere."""
        return None


@dataclass(slots=True)
class Rule(OneRow):
    """A line across."""

    first: Prefix = ()

    def row(self, width: int, _index: int, /) -> Row:
        """As far as the width goes."""
        return Row([*self.first, Piece("─" * (width - prefix_width(self.first)), "rule", True)])


@dataclass(slots=True)
class Gap(OneRow):
    """An empty row between two blocks."""

    first: Prefix = ()

    def row(self, _width: int, _index: int, /) -> Row:
        """Only what stands left of it."""
        return Row(list(self.first))


@dataclass(slots=True)
class Label(OneRow):
    """What a block of code is written in, and its number."""

    text: str
    first: Prefix = ()

    def row(self, _width: int, _index: int, /) -> Row:
        """The label, on the block's own ground."""
        return Row([*self.first, Piece(self.text, "block label", True)], "", "block")


@dataclass(slots=True)
class TableRule(OneRow):
    """What separates a table's head from its body."""

    columns: Columns
    first: Prefix = ()

    def row(self, width: int, _index: int, /) -> Row:
        """A line with crossings."""
        total = width - prefix_width(self.first)
        crossing = self.columns.separator(total).replace(" ", "─").replace("│", "┼")
        return Row([*self.first, Piece(crossing.join("─" * cells for cells in self.columns.widths(total)), "rule")])


@dataclass(slots=True)
class Breaks:
    """Where rows begin, of a text that only grows beyond `stable`: what is settled is not wrapped again."""

    width: int = 0
    starts: list[int] = field(default_factory=list)
    stable: int = 0

    def of(self, text: str, stable: int, width: int, words: bool) -> list[int]:
        """The rows' starts at that width."""
        # The row that holds the first unsettled character, and the one before it, whose end depends on that character.
        kept = bisect_right(self.starts, self.stable) - 2 if width == self.width else 0
        begun = self.starts[: max(0, kept)]
        start = self.starts[kept] if kept > 0 else 0
        self.starts = [*begun, *row_starts(text, width, start, words=words)]
        self.width, self.stable = width, stable
        return self.starts


@dataclass(slots=True)
class Flow:
    """Text that is wrapped: of a paragraph, a heading, an item, or one line of code."""

    inline: Inline
    first: Prefix = ()
    rest: Prefix = ()
    style: str = ""
    code: bool = False
    stable: int = 0
    breaks: Breaks | None = None
    _starts: tuple[int, list[int]] = (0, [])

    def height(self, width: int) -> int:
        """How many rows its text takes."""
        return len(self._rows(width))

    def row(self, width: int, index: int) -> Row:
        """A slice of the text, behind its prefix."""
        starts = self._rows(width)
        text = self.inline.text
        start = starts[index]
        last = index + 1 == len(starts)
        until = len(text) if last else starts[index + 1]
        end = until if self.code else start + len(text[start:until].rstrip(" \n"))
        pieces = [*(self.rest if index else self.first), *self.inline.pieces(start, end, self.style)]
        if self.code:
            return Row(pieces, "\n" if last else "", self.style)
        return Row(pieces, "\n" if last else text[end:until])

    def with_cursor(self) -> "Flow":
        """The same text, still being written."""
        return Flow(self.inline.with_cursor(), self.first, self.rest, self.style, self.code, self.stable, self.breaks)

    def link_at(self, width: int, index: int, place: int) -> str | None:
        """The target of the link there."""
        place += self._rows(width)[index] - sum(len(piece.text) for piece in (self.rest if index else self.first))
        return next((link.target for link in self.inline.links if link.start <= place < link.end), None)

    def _rows(self, width: int) -> list[int]:
        if self._starts[0] != width:
            available = width - prefix_width(self.first) - self.code
            if self.breaks:
                starts = self.breaks.of(self.inline.text, self.stable, available, not self.code)
            else:
                starts = row_starts(self.inline.text, available, words=not self.code)
            self._starts = (width, starts)
        return self._starts[1]


@dataclass(slots=True)
class TableRow:
    """A row of cells; `columns` belong to the whole table."""

    cells: Sequence[Inline]
    columns: Columns
    first: Prefix = ()
    rest: Prefix = ()
    style: str = ""

    def height(self, width: int) -> int:
        """The rows of its highest cell."""
        widths = self._widths(width)
        if self.columns.fit(widths):
            return 1
        return max(len(row_starts(cell.text, cells)) for cell, cells in zip(self.cells, widths, strict=True))

    def row(self, width: int, index: int) -> Row:
        """A slice of each cell, padded to its column."""
        pieces = list(self.rest if index else self.first)
        separator = self._separator(width)
        for number, (cell, cells) in enumerate(zip(self.cells, self._widths(width), strict=True)):
            if number and separator:
                pieces.append(Piece(separator, "rule"))
            pieces += self._cell(cell, cells, self.columns.aligns[number], index)
        return Row(pieces)

    def with_cursor(self) -> "TableRow":
        """The same, with its last cell still being written."""
        written = max((number for number, cell in enumerate(self.cells) if cell.text), default=0)
        cells = [cell.with_cursor() if number == written else cell for number, cell in enumerate(self.cells)]
        return TableRow(cells, self.columns, self.first, self.rest, self.style)

    def link_at(self, width: int, index: int, place: int) -> str | None:
        """The target of the link there."""
        place -= sum(len(piece.text) for piece in self.first)
        for number, (cell, cells) in enumerate(zip(self.cells, self._widths(width), strict=True)):
            pieces = list(self._cell(cell, cells, self.columns.aligns[number], index))
            length = sum(len(piece.text) for piece in pieces)
            if place < length:
                starts = row_starts(cell.text, cells)
                place += starts[index] - len(pieces[0].text) if index < len(starts) else 0
                return next((link.target for link in cell.links if link.start <= place < link.end), None)
            place -= length + len(self._separator(width))
        return None

    def _widths(self, width: int) -> list[int]:
        return self.columns.widths(width - prefix_width(self.first))

    def _separator(self, width: int) -> str:
        return self.columns.separator(width - prefix_width(self.first))

    def _cell(self, cell: Inline, width: int, align: str, index: int) -> Iterator[Piece]:
        starts = [*row_starts(cell.text, width), len(cell.text)]
        if index + 1 >= len(starts):
            yield Piece(" " * width, "", True)
            return
        start = starts[index]
        end = start + len(cell.text[start : starts[index + 1]].rstrip(" \n"))
        free = max(0, width - cell_len(cell.text[start:end]))
        before = {"right": free, "center": free // 2}.get(align, 0)
        yield Piece(" " * before, "", True)
        yield from cell.pieces(start, end, self.style)
        yield Piece(" " * (free - before), "", True)


def prefix_width(prefix: Prefix) -> int:
    """In cells."""
    return sum(cell_len(piece.text) for piece in prefix)
