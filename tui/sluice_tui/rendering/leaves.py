"""The blocks that hold text: each takes lines of source and gives logical lines.

`settled` are those that nothing can change any more, each given once; `open` are the others, as they look by now.
"""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from rich.cells import cell_len

from sluice_tui.rendering.columns import Columns
from sluice_tui.rendering.highlighting import Highlighter
from sluice_tui.rendering.inline import inline
from sluice_tui.rendering.lines import Breaks, Flow, Inline, Label, Line, Link, Piece, Prefix, Span, TableRow, TableRule
from sluice_tui.safety import inert_line, within_marks

SEGMENT_CHARACTERS = 1200
"""So much of a paragraph is read as one: emphasis, code and links do not reach over the end of a longer segment."""

_TAB_CELLS = 4
_LABEL_CHARACTERS = 40
_PLACE_TO_CUT = re.compile("[ \n]|(?<=[。！？；，、])")
_CELL_END = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Edge:
    """What stands left of a block's first row, and of the others."""

    first: Prefix = ()
    rest: Prefix = ()

    def inside(self, piece: Piece) -> "Edge":
        """The same, with something more at its right."""
        return Edge((*self.first, piece), (*self.rest, piece))

    @property
    def after_first(self) -> "Edge":
        """For what comes below the first row."""
        return Edge(self.rest, self.rest)


class Leaf(Protocol):
    """A block that is open: it may still grow."""

    def copy(self) -> "Leaf":
        """Another one in the same state, to try what comes next."""

    def add(self, line: str) -> None:
        """One more line of source."""

    def extend(self, piece: str) -> None:
        """More of the last line."""

    def settled(self) -> list[Line]:
        """The lines that have become final since the last call."""

    def open(self) -> list[Line]:
        """The lines that are not final."""


@dataclass(slots=True)
class Paragraph:
    """Text that is read in segments, so that a long one is not read from its start again and again."""

    edge: Edge
    style: str = ""
    _source: str = ""
    _before: Inline = field(default_factory=lambda: Inline("", [], []))
    _breaks: Breaks = field(default_factory=Breaks)
    _stable: int | None = None

    def copy(self) -> "Paragraph":
        """Its own settled text stays what is settled: a segment that ends in a line to come may end elsewhere."""
        return replace(self, _stable=len(self._before.text) if self._stable is None else self._stable)

    def add(self, line: str) -> None:
        """One more line: a line break in the source is a space."""
        begun = self._source or self._before.text
        self._source += f"\n{line.lstrip()}" if begun else line.lstrip()
        self._cut()

    def extend(self, piece: str) -> None:
        """More of the last line."""
        self._source += piece
        self._cut()

    def settled(self) -> list[Line]:
        """Nothing: it is one line, and open until it ends."""
        return []

    def open(self) -> list[Line]:
        """The one line."""
        whole = _joined(self._before, inline(self._source))
        stable = len(self._before.text) if self._stable is None else self._stable
        breaks = self._breaks if stable else None
        return [Flow(whole, self.edge.first, self.edge.rest, self.style, stable=stable, breaks=breaks)]

    def take_last_line(self) -> str:
        """Take away the last line of source, which turned out to be a table's head."""
        self._source, _, last = self._source.rpartition("\n")
        return last

    @property
    def last_line(self) -> str:
        """The last line of source."""
        return self._source.rpartition("\n")[2]

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self._source.strip() and not self._before.text

    def _cut(self) -> None:
        while len(self._source) > 2 * SEGMENT_CHARACTERS:
            place = _place_to_cut(self._source)
            space = self._source[place : place + 1]
            self._before = _joined(self._before, inline(self._source[:place]))
            self._before.text += " " if space in " \n" else ""
            self._source = self._source[place:].lstrip(" \n")


def _place_to_cut(source: str) -> int:
    """The last place where no emphasis, code or link seems to be open, if there is one."""
    places = [match.start() for match in _PLACE_TO_CUT.finditer(source, SEGMENT_CHARACTERS // 2, SEGMENT_CHARACTERS)]
    for place in reversed(places[-40:]):
        before = source[:place]
        if before.count("`") % 2 == 0 and before.count("**") % 2 == 0 and before.count("[") == before.count("]"):
            return place
    return places[-1] if places else SEGMENT_CHARACTERS


def _joined(before: Inline, after: Inline) -> Inline:
    if not before.text:
        return Inline(after.text, list(after.spans), list(after.links))
    shift = len(before.text)
    spans = [Span(start + shift, end + shift, style) for start, end, style in after.spans]
    links = [Link(start + shift, end + shift, target) for start, end, target in after.links]
    return Inline(before.text + after.text, [*before.spans, *spans], [*before.links, *links])


class Code:
    """Lines of code, as they stand. `source` is what is copied."""

    def __init__(self, edge: Edge, language: str, number: int) -> None:
        self._edge = edge.inside(Piece(" ", "block", True))
        self.source: list[str] = []
        self._waiting: list[str] = []
        self._highlighter = Highlighter(language)
        label = Label(f"{inert_line(language, _LABEL_CHARACTERS) or 'code'} · {number}", self._edge.first)
        self._settled: list[Line] = [label]

    def copy(self) -> Self:
        """Another one in the same state."""
        other = copy(self)
        other.source, other._waiting = list(self.source), list(self._waiting)
        other._highlighter, other._settled = self._highlighter.copy(), list(self._settled)
        return other

    def add(self, line: str) -> None:
        """One more line of it."""
        self.source.append(line)
        self._show(line)

    def extend(self, piece: str) -> None:
        """More of the last line; a line this long is broken somewhere anyway."""
        if self.source:
            self.source[-1] += piece
            self._show(piece)

    def settled(self) -> list[Line]:
        """Those whose colours are final."""
        settled, self._settled = self._settled, []
        return settled

    def open(self) -> list[Line]:
        """The last few."""
        spans = self._highlighter.open()
        return [self._line(text, found) for text, found in zip(self._waiting, spans, strict=True)]

    def _show(self, line: str) -> None:
        self._waiting.append(within_marks(line.expandtabs(_TAB_CELLS)))
        spans = self._highlighter.add(self._waiting[-1])
        self._settled += [self._line(text, found) for text, found in zip(self._waiting, spans, strict=False)]
        del self._waiting[: len(spans)]

    def _line(self, text: str, spans: Sequence[Span]) -> Flow:
        return Flow(Inline(text, spans), self._edge.rest, self._edge.rest, "block", code=True)


class Table:
    """Rows of cells. A cell that is wider than its column widens it, for all rows."""

    def __init__(self, edge: Edge, head: str, aligns: Sequence[str]) -> None:
        self._edge = edge
        self._columns = Columns(aligns)
        self._tentative = False
        self._settled: list[Line] = []
        self.grown = False
        self._add(head, edge, "head")
        self._settled.append(TableRule(self._columns, edge.rest))

    def copy(self) -> "Table":
        """Another one, whose further rows do not widen the columns."""
        other = copy(self)
        other._tentative, other._settled, other.grown = True, list(self._settled), False
        return other

    def add(self, line: str) -> None:
        """One more row."""
        self._add(line, self._edge.after_first, "")

    def extend(self, piece: str) -> None:
        """More of a row that is longer than any: in a row of its own."""
        self.add(piece)

    def settled(self) -> list[Line]:
        """All but those that have been given."""
        settled, self._settled = self._settled, []
        return settled

    def open(self) -> list[Line]:
        """None: what is a row stays one."""
        return []

    def _add(self, line: str, edge: Edge, style: str) -> None:
        cells = [inline(cell) for cell in fitted(cells_of(line), len(self._columns.aligns))]
        if not self._tentative:
            self.grown |= self._columns.admit([cell_len(cell.text) for cell in cells])
        self._settled.append(TableRow(cells, self._columns, edge.first, edge.rest, style))


def cells_of(line: str) -> list[str]:
    """The cells of a row, with or without bars at its ends."""
    line = line.strip().removeprefix("|")
    cells = [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(line)]
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


def fitted(cells: list[str], count: int) -> list[str]:
    """As many cells as there are columns; those beyond are shown in the last one."""
    return [*cells[: count - 1], " | ".join(cells[count - 1 :]), *[""] * (count - len(cells))][:count]
