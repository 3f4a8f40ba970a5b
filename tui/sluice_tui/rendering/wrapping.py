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
_USUAL_MARKS = 16


def is_narrow(text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether every character is one cell wide."""
    match = _NARROW.fullmatch(text, start, len(text) if end is None else end)
    return match is not None


def row_starts(text: str, width: int, start: int = 0, *, words: bool = True) -> list[int]:
    """Where rows of at most `width` cells begin, the first at `start`; a newline ends a row.

    Greedy from left to right, so that rows before a change stay as they are. `words` are kept whole where they fit, and
    the spaces between two rows belong to the first; else rows are simply full. Between wide characters is always a place.
    """
    starts, width = [], max(2, width)
    for line_start, line_end in _lines(text, start):
        place = line_start
        while True:
            starts.append(place)
            narrow = is_narrow(text, place, min(line_end, place + width + 1))
            place = (_next_narrow if narrow else _next_wide)(text, place, line_end, width, words)
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
    for window in (width + _USUAL_MARKS, _MAX_CODEPOINTS_PER_CELL * width):
        until = min(end, start + window)
        place = _next_grapheme_row(text[start:until], width, words)
        if place is not None:
            return _after_spaces(text, start + place, end) if words else start + place
        if until == end:
            break
    # A row holds few code points: beyond that it is cut, since a grapheme may be endless.
    return until


def _next_grapheme_row(window: str, width: int, words: bool) -> int | None:
    """Where the row after this one begins, spaces before it not counted; None where all fits."""
    graphemes, _ = split_graphemes(window)
    used, place, after_wide = 0, 0, False
    for first, last, cells in graphemes:
        character = window[first]
        if first and (cells > 1 or after_wide) and character not in _NO_ROW_BEGINS_WITH:
            place = first
        if used + cells > width and first:
            return place if words and place and character != " " else first
        if character == " ":
            place = last
        used, after_wide = used + cells, cells > 1
    return None


def _after_spaces(text: str, place: int, end: int) -> int:
    while place < end and text[place] == " ":
        place += 1
    return place
