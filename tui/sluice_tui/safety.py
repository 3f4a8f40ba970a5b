"""Text from outside, made inert: what a terminal would obey becomes visible characters.

Character by character, so that it is stable across any cut, and idempotent, since nothing it writes is changed again.

Made visible: C0 controls but newline and tab (as Unicode's control pictures, ESC is ␛), DEL, C1 controls, the bidi
controls (Unicode, UAX #9), line and paragraph separators, tag characters (U+E0000 to U+E007F); lone surrogates, which
no terminal can be sent, become U+FFFD.
"""

import re
from dataclasses import replace
from typing import NewType

from sluice_wire.errors import ErrorReport

Inert = NewType("Inert", str)
"""Text that may be shown: widgets take nothing else, so that the type checker finds a way round."""

MAX_REPORT_CHARACTERS = 600

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "␡"}
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_NAMED = (*range(0x80, 0xA0), 0x2028, 0x2029, *_BIDI, *range(0xE0000, 0xE0080))
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")
_TABLE = _PICTURES | {code: f"⟨U+{code:04X}⟩" for code in _NAMED} | _SURROGATES

# Most text has none of them, and a search is thirty times faster than a translation.
_ACTIVE = re.compile("[" + "".join(re.escape(chr(code)) for code in _TABLE) + "]")

MAX_MARKS = 8
"""So many combining marks may stand on one character: more are drawn over the rows above and below, by some terminals."""

_MARK_RANGES = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e34-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200b-\u200d\u2060\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U000e0100-\U000e01ef"
)
_MARKS = re.compile(f"([{_MARK_RANGES}]{{{MAX_MARKS}}})[{_MARK_RANGES}]+")


def inert(text: str) -> Inert:
    """The text with everything that a terminal would act upon made visible."""
    return Inert(text.translate(_TABLE) if _ACTIVE.search(text) else text)


def within_marks(text: str) -> str:
    """The text without the combining marks that are too many; of a whole text only, since a cut would change the count."""
    return text if text.isascii() else _MARKS.sub(r"\1", text)


def inert_line(text: str, limit: int = MAX_REPORT_CHARACTERS) -> Inert:
    """The text as one short line: for names, titles and parts of messages."""
    line = " ".join(text[:limit].split())
    return inert(within_marks(line if len(text) <= limit else line + "…"))


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
