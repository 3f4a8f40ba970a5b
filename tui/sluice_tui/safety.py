"""Text from outside, made inert: what a terminal would obey becomes visible characters.

Character by character, so that it is stable across any cut, and idempotent, since nothing it writes is changed again.

Made visible: C0 controls but newline and tab (as Unicode's control pictures, ESC is ␛), DEL, C1 controls, the bidi
controls (Unicode, UAX #9), line and paragraph separators, tag characters (U+E0000 to U+E007F), and the other format
characters that nothing shows and no script is written with; lone surrogates, which no terminal can be sent, become U+FFFD.
"""

import re
import unicodedata
from dataclasses import replace
from typing import NewType

from sluice_wire.errors import ErrorReport

Inert = NewType("Inert", str)
"""Text that may be shown: widgets take nothing else, so that the type checker finds a way round."""

MAX_REPORT_CHARACTERS = 600

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "␡"}
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_TAGS = range(0xE0000, 0xE0080)
# Invisible operators, deprecated format characters, annotations, shorthand and musical format controls (Unicode, Cf).
_UNSEEN = (*range(0x2061, 0x2066), *range(0x206A, 0x2070), *range(0xFFF9, 0xFFFC), *range(0x1BCA0, 0x1BCA4))
_NAMED = (*range(0x80, 0xA0), 0x2028, 0x2029, *_BIDI, *_UNSEEN, *range(0x1D173, 0x1D17B), *_TAGS)
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")
_TABLE = _PICTURES | {code: f"⟨U+{code:04X}⟩" for code in _NAMED} | _SURROGATES

# Most text has none of them, and a search is thirty times faster than a translation.
_ACTIVE = re.compile("[" + "".join(re.escape(chr(code)) for code in _TABLE) + "]")

MAX_MARKS = 8
"""So many combining marks may stand on one character: more are drawn over the rows above and below, by some terminals."""

# Marks are neither letters nor digits, so that most text is passed over without a look at Unicode's tables.
_MAYBE_MARKS = re.compile(rf"[^\w\s\0-\u02ff]{{{MAX_MARKS + 1},}}")
_TAKES_NO_SPACE = re.compile("[\u200b-\u200d\u2060\ufeff]")


def inert(text: str) -> Inert:
    """The text with everything that a terminal would act upon made visible."""
    return Inert(text.translate(_TABLE) if _ACTIVE.search(text) else text)


def within_marks(text: str) -> str:
    """The text without the combining marks that are too many; of a whole text only, since a cut would change the count."""
    return text if text.isascii() else _MAYBE_MARKS.sub(_few_marks, text)


class MarksInPieces:
    """`within_marks` for a text that comes in pieces: the count goes on from one to the next."""

    def __init__(self) -> None:
        self._last = ""

    def within(self, piece: str) -> str:
        """The next piece, without the marks that are too many."""
        text = within_marks(self._last + piece)
        new = text[len(self._last) :]
        end = next((place for place in range(len(text), 0, -1) if not _is_mark(text[place - 1])), 0)
        self._last = text[end:]
        return new


def _few_marks(run: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for character in run[0]:
        marks = marks + 1 if _is_mark(character) else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or _TAKES_NO_SPACE.match(character) is not None


def inert_text(text: str) -> Inert:
    """A whole text, made inert, and without the marks that are too many."""
    return inert(within_marks(text))


def inert_line(text: str, limit: int = MAX_REPORT_CHARACTERS) -> Inert:
    """The text as one short line: for names, titles and parts of messages."""
    line = " ".join(text[:limit].split())
    return inert_text(line if len(text) <= limit else line + "…")


def inert_report(report: ErrorReport) -> ErrorReport:
    """An error report from a server, with every part fit to be shown."""
    return replace(
        report,
        code=inert_line(report.code, 64),
        what=inert_line(report.what),
        why=inert_line(report.why),
        action=inert_line(report.action),
        type=inert_line(report.type, 64),
        param=None if report.param is None else inert_line(report.param, 128),
        correlation_id=inert_line(report.correlation_id, 128),
    )
