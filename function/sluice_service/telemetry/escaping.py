"""Characters that could forge a line or steer a terminal, made visible.

Escaped: C0 and C1 controls and DEL (CR, LF, TAB and ESC among them), U+2028 and U+2029, the bidirectional controls, the
invisible tag characters, and lone surrogates, which no encoding can write.
"""

import re
from itertools import chain

_RANGES = (
    *((0x00, 0x1F), (0x7F, 0x9F), (0x61C, 0x61C), (0x200E, 0x200F), (0x2028, 0x202E), (0x2066, 0x2069)),
    *((0xFEFF, 0xFEFF), (0xD800, 0xDFFF), (0xE0000, 0xE007F)),
)
_ESCAPES = {
    code: chr(code).encode("unicode_escape", "surrogatepass").decode("ascii")
    for code in chain.from_iterable(range(first, last + 1) for first, last in _RANGES)
}
_ESCAPES_BUT_LF = {code: escape for code, escape in _ESCAPES.items() if code != ord("\n")}
_UNSAFE = re.compile("[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _RANGES) + "]")


def visible(text: str, *, keep_line_feeds: bool = False) -> str:
    r"""The text with each such character as `\n`, `\x1b` or `\u2028`; tracebacks inside JSON keep their line feeds."""
    # Nearly every text has nothing to escape, and beyond ASCII a translation costs ten times the search.
    return text.translate(_ESCAPES_BUT_LF if keep_line_feeds else _ESCAPES) if _UNSAFE.search(text) else text
