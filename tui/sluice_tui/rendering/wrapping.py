"""Text into rows of a width, in cells."""

import re
from collections.abc import Iterator

from rich.cells import split_graphemes

# One cell each, in every terminal: a search over them is far faster than a walk over graphemes.
_NARROW = re.compile(
    "[ -~\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0377\u0384-\u0482\u2010-\u2027\u2030-\u205e\u2190-\u2193\u2500-\u25af▍]*"
)
_NO_ROW_BEGINS_WITH = frozenset("、。，．！？：；）」』】〉》〕…ー")
_MAX_CODEPOINTS_PER_CELL = 10


def is_narrow(text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether every character is one cell wide."""
    match = _NARROW.fullmatch(text, start, len(text) if end is None else end)
    return match is not None


def row_starts(text: str, width: int, start: int = 0, *, words: bool = True) -> list[int]:
    """Where rows of at most `width` cells begin, the first at `start`; a newline ends a row.

    Greedy from left to right, so that rows before a change stay as they are. `words` are kept whole where they fit, and
    the spaces between two rows belong to the first; else rows are simply full. Between wide characters is always a place.
    """
    starts = []
    for line_start, line_end in _lines(text, start):
        next_row = _next_narrow if is_narrow(text, line_start, line_end) else _next_wide
        place = line_start
        while True:
            starts.append(place)
            place = next_row(text, place, line_end, max(2, width), words)
            if place >= line_end:
                break
    return starts


def _lines(text: str, start: int) -> Iterator[tuple[int, int]]:
    while (end := text.find("\n", start)) >= 0:
        yield start, end
        start = end + 1
    yield start, len(text)


def _next_narrow(text: str, start: int, end: int, width: int, words: bool) -> int:
    if end - start <= width:
        return end
    space = text.rfind(" ", start, start + width + 1) if words else -1
    if space < start:
        return start + width
    return _after_spaces(text, space, end)


def _next_wide(text: str, start: int, end: int, width: int, words: bool) -> int:
    # A row holds few code points; beyond that it is cut, since a grapheme may be endless.
    window = text[start : min(end, start + _MAX_CODEPOINTS_PER_CELL * width)]
    graphemes, _ = split_graphemes(window)
    used, place = 0, 0
    after_wide = False
    for first, last, cells in graphemes:
        character = window[first]
        wide = cells > 1 and character not in _NO_ROW_BEGINS_WITH
        if first and (wide or (after_wide and character not in _NO_ROW_BEGINS_WITH)):
            place = first
        if used + cells > width and first:
            if words and character == " ":
                return _after_spaces(text, start + first, end)
            return start + (place if words and place else first)
        if character == " ":
            place = last
        used, after_wide = used + cells, cells > 1
    return start + len(window)


def _after_spaces(text: str, place: int, end: int) -> int:
    while place < end and text[place] == " ":
        place += 1
    return place
