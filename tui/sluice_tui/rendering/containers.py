"""The blocks that hold blocks: quotes and items of lists. Each takes its part off the left of a line."""

import re
from dataclasses import dataclass, replace
from typing import Protocol

from sluice_tui.rendering.lines import Piece

_QUOTE = re.compile(r" {0,3}>")
_MARKER = re.compile(r"( {0,3})([-+*]|(\d{1,9})([.)]))(?=[ \t]|$)")
_BULLETS = "•◦▪"
_TAB_CELLS = 4


def indentation(line: str) -> int:
    """How many columns of white space a line begins with."""
    columns = 0
    for character in line:
        if character == "\t":
            columns += _TAB_CELLS - columns % _TAB_CELLS
        elif character == " ":
            columns += 1
        else:
            break
    return columns


def without_indentation(line: str, columns: int) -> str:
    """The line without so many columns of white space, or as many as there are; a tab that is cut leaves spaces."""
    column = 0
    for place, character in enumerate(line):
        if column >= columns or character not in " \t":
            return " " * max(0, column - columns) + line[place:]
        column += _TAB_CELLS - column % _TAB_CELLS if character == "\t" else 1
    return ""


class Container(Protocol):
    """A block that is open. `family` is the same for the items of one list."""

    family: int

    def copy(self) -> "Container":
        """Another one in the same state."""

    def rest_of(self, line: str) -> str | None:
        """What is inside it; None when the line is not in it."""

    def piece(self) -> Piece:
        """What stands left of its rows: for an item's first one its marker, once."""

    @property
    def blank_piece(self) -> Piece:
        """What stands left of its further rows."""


@dataclass(slots=True)
class Quote:
    """A quote."""

    family: int

    def copy(self) -> "Quote":
        """It has no state."""
        return self

    def rest_of(self, line: str) -> str | None:
        """What stands behind the `>`."""
        return begun_quote(line)

    def piece(self) -> Piece:
        """A bar."""
        return self.blank_piece

    @property
    def blank_piece(self) -> Piece:
        """The same bar."""
        return Piece("▌ ", "quote", True)


@dataclass(slots=True)
class Item:
    """An item of a list. `kind` is its marker's character, `columns` is how far its content is indented.

    One that is `over` takes nothing more, and stands until it is known whether another item goes on with its list.
    """

    family: int
    kind: str
    number: int
    columns: int
    bare: bool
    bullet: str = ""
    shown: bool = False
    over: bool = False

    def copy(self) -> "Item":
        """Another one in the same state."""
        return replace(self)

    def rest_of(self, line: str) -> str | None:
        """What is indented far enough; an item that begins with an empty line is over at the second one."""
        if not line.strip():
            self.over |= self.bare
            return ""
        if self.over or indentation(line) < self.columns:
            return None
        self.bare = False
        return without_indentation(line, self.columns)

    def piece(self) -> Piece:
        """Its marker, the first time."""
        shown, self.shown = self.shown, True
        return self.blank_piece if shown else Piece(self._marker, "bullet")

    @property
    def blank_piece(self) -> Piece:
        """As much space as its marker takes."""
        return Piece(" " * len(self._marker), "", True)

    @property
    def _marker(self) -> str:
        return f"{self.bullet} " if self.bullet else f"{self.number}{self.kind} "


def begun_quote(line: str) -> str | None:
    """What stands behind the `>` that the line begins with."""
    match = _QUOTE.match(line)
    if not match:
        return None
    rest = line[match.end() :]
    # The tab behind a `>` is one column of the marker and some of the content.
    return f"  {rest[1:]}" if rest.startswith("\t") else rest.removeprefix(" ")


def begun_item(line: str, interrupts: bool) -> tuple[Item, str] | None:
    """The item that begins here, with what stands behind its marker; a paragraph is interrupted by few of them."""
    match = _MARKER.match(line)
    if not match:
        return None
    behind = line[match.end() :]
    number = int(match[3] or 0)
    empty = not behind.strip()
    if interrupts and (empty or (match[3] and number != 1)):
        return None
    spaces = indentation(behind)
    inner = 1 if empty or spaces > _TAB_CELLS else spaces
    item = Item(0, match[4] or match[2], number, match.end() + inner, bare=empty)
    return item, "" if empty else without_indentation(behind, inner)


def bullet(depth: int) -> str:
    """For an unordered item inside of `depth` others."""
    return _BULLETS[min(depth, len(_BULLETS) - 1)]
