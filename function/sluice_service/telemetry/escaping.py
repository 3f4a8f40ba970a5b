"""Characters that could forge a line or steer a terminal, made visible.

Escaped: C0 and C1 controls and DEL (CR, LF, TAB and ESC among them), U+2028 and U+2029, the bidirectional controls, the
invisible tag characters, and lone surrogates, which no encoding can write.
"""

import re

_RANGES = (
    "\\x00-\\x1f\\x7f-\\x9f"
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
    "\\u2028\\u2029\\ufeff\\ud800-\\udfff\\U000e0000-\\U000e007f"
)
_UNSAFE = re.compile(f"[{_RANGES}]")
_UNSAFE_BUT_LF = re.compile(f"(?!\\n)[{_RANGES}]")


def visible(text: str, *, keep_line_feeds: bool = False) -> str:
    r"""The text with each such character as `\n`, `\x1b` or `\u2028`; tracebacks inside JSON keep their line feeds."""
    return (_UNSAFE_BUT_LF if keep_line_feeds else _UNSAFE).sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")
