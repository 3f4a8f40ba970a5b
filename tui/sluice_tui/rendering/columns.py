"""The columns of a table: as wide as their widest cell, and narrower where that does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

_SEPARATORS = (" │ ", "│", "")
_READABLE_CELLS = 3
"""Of each column, on average: before there are fewer, what separates them gives way."""

_LEAST_CELLS = 2
"""A wide character needs them."""

_MAX_CELLS = 200


@dataclass(slots=True)
class Columns:
    """`natural` are the widest cells so far, in cells of the screen; `aligns` are left, center or right."""

    aligns: Sequence[str]
    natural: list[int] = field(default_factory=list)
    _fitted: tuple[int, list[int]] = (0, [])

    def admit(self, cells: Sequence[int]) -> bool:
        """Take a row's widths into account; whether a column has grown."""
        # Bounded: beyond the width of any screen a wider cell changes nothing, so that no table is laid out for ever.
        natural = [min(_MAX_CELLS, max(pair)) for pair in zip(self.natural or [1] * len(cells), cells, strict=True)]
        grown = natural != self.natural
        self.natural = natural
        if grown:
            self._fitted = (0, [])
        return grown

    def fit(self, widths: Sequence[int]) -> bool:
        """Whether every cell is on one row."""
        return widths == self.natural and max(self.natural) < _MAX_CELLS

    def separator(self, total: int) -> str:
        """What stands between two columns: less where they are many, so that the last one is not cut off."""
        count = len(self.natural)
        wanted = min(sum(self.natural), _READABLE_CELLS * count)
        wide, narrow, none = _SEPARATORS
        if total - len(wide) * (count - 1) >= wanted:
            return wide
        return narrow if total - len(narrow) * (count - 1) >= _LEAST_CELLS * count else none

    def widths(self, total: int) -> list[int]:
        """The columns' widths in a space of that many cells: the widest give way first."""
        if self._fitted[0] != total:
            space = total - len(self.separator(total)) * (len(self.natural) - 1)
            self._fitted = (total, _shared(self.natural, max(space, len(self.natural))))
        return self._fitted[1]


def _shared(natural: list[int], space: int) -> list[int]:
    if sum(natural) <= space:
        return natural
    widths = list(natural)
    left, remaining = space, len(natural)
    # From the narrowest: each takes what it needs, as long as that is less than its share of what is left.
    for index in sorted(range(len(natural)), key=natural.__getitem__):
        widths[index] = max(1, min(natural[index], left // remaining))
        left, remaining = left - widths[index], remaining - 1
    return widths
