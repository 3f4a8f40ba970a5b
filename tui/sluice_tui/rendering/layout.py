"""Which line a row belongs to, at a width."""

from bisect import bisect_right
from collections.abc import Sequence

from sluice_tui.rendering.lines import Line, Row


class Layout:
    """The rows of some lines, which it does not keep; `height` is how many there are."""

    def __init__(self) -> None:
        self.width = 0
        self._lines: Sequence[Line] = ()
        self._tops = [0]

    @property
    def height(self) -> int:
        """In rows."""
        return self._tops[-1]

    def lay(self, lines: Sequence[Line], width: int, changed: int = 0) -> int:
        """Find the rows of the lines, which are new from `changed` on; the first row that is new."""
        keep = min(changed, len(self._tops) - 1) if width == self.width else 0
        self._lines, self.width = lines, width
        del self._tops[keep + 1 :]
        top = first = self._tops[keep]
        for index in range(keep, len(lines)):
            top += lines[index].height(width)
            self._tops.append(top)
        return first

    def place_of(self, row: int) -> tuple[int, int]:
        """The index of the row's line, and which of the line's rows it is."""
        index = max(0, min(bisect_right(self._tops, row) - 1, len(self._lines) - 1))
        return index, row - self._tops[index]

    def row_of(self, index: int, within: int) -> int:
        """The row of a place; the last one of its line, where that has fewer by now."""
        index = min(index, len(self._lines) - 1)
        return self._tops[index] + min(within, self._tops[index + 1] - self._tops[index] - 1) if index >= 0 else 0

    def row(self, number: int) -> Row:
        """What is on that row."""
        index, within = self.place_of(number)
        return self._lines[index].row(self.width, within)

    def link_at(self, number: int, place: int) -> str | None:
        """Where the character at that place of that row leads."""
        index, within = self.place_of(number)
        return self._lines[index].link_at(self.width, within, place)
