"""Keys and tokens, kept out of every entry.

Four passes over a text: the secrets that the service itself holds, in every spelling that an encoder on the way could
give them; `Bearer` and `Basic` credentials; keys and tokens known by their shape; and whatever is assigned to a name
such as `api_key`. Erring on the side of hiding: what follows a telling name goes, even when it was harmless.

Each pass is linear: no repetition may match the same text in two ways, and what could is possessive (`*+`).
"""

import html
import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"

MAX_TEXT_CHARACTERS = 64 * 1024
"""Longer texts are cut, so that the work for one entry is bounded."""

MIN_SECRET_CHARACTERS = 8
"""Shorter "secrets" are placeholders (`ollama`, `test`); hiding each would make the log unreadable."""

_ENCODERS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: ascii(text)[1:-1],
    lambda text: quote(text, safe="", errors="replace"),
    lambda text: quote(text, errors="replace"),
    lambda text: quote_plus(text, errors="replace"),
    lambda text: re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quote(text, safe="", errors="replace")),
    lambda text: repr(text.encode("utf-8", "replace"))[2:-1],
    lambda text: text.encode("utf-8", "replace").decode("utf-8"),
    html.escape,
)

_QUOTE = r"""(?:\\{0,7}["'`]|%(?:25){0,2}2[27]|\\{1,7}u002[27]|&(?:\#x?\d{2}|quot|apos);)"""
_SPACE = r"(?:[ +]|%(?:25){0,2}20)"
_JOIN = rf"(?:[_.\-]|{_SPACE}|%(?:25){{0,2}}(?:5f|2d))?"
_LINE_NAMES = r"(?:authorization|cookies?)"
_NAMES = rf"""(?:(?:api|access|private|signing|secret){_JOIN}keys?|token|passw(?:or)?ds?|passphrase|pwd|secrets?|ticket
    |(?:[?&]|%(?:25){{0,2}}(?:3f|26))key|{_LINE_NAMES})"""
_GAP = rf"(?:\s|{_SPACE}){{0,8}}"
_SEPARATOR = rf"""(?:{_QUOTE}{_GAP}(?:,|%(?:25){{0,2}}2c)
    |{_QUOTE}?{_GAP}(?:[:=]{{1,3}}>?|%(?:25){{0,2}}3[ad])){_GAP}"""

# Each pass is run only on texts with one of these in them: a search for words costs a tenth of it.
_SCHEME_WORDS = ("bearer", "basic")
_SHAPE_WORDS = ("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "aiza", "ya29.", "eyj", "private key")
_NAME_WORDS = ("key", "token", "pass", "pwd", "secret", "ticket", "authorization", "cookie")

_WORDS = (*_SCHEME_WORDS, *_SHAPE_WORDS, *_NAME_WORDS)

_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL | re.VERBOSE

_SCHEME = re.compile(
    r"""(?P<kept>(?:bearer|basic)(?:[\s+:=]|\\[tnr]|%(?:25){0,2}(?:20|09)){1,8})(?P<value>[^\s"'<>]+)""", _FLAGS
)

_SHAPE = re.compile(
    r"""
    -----BEGIN[A-Z\ ]{0,40}PRIVATE\ KEY-----.*?(?:-----END[A-Z\ ]{0,40}-----|\Z)
    |(?:(?<![A-Z0-9])|(?<=\\[nrt])|(?<=%[0-9A-F]{2})|(?<=25[0-9A-F]{2})|(?<=\\u[0-9A-F]{4}))
     (?:[spr]k[-_][\w-]{8,}|AIza[\w-]{8,}|ya29\.[\w.-]{4,}|eyJ[\w-]{8,}(?:\.[\w-]+){0,4})
    """,
    _FLAGS,
)

_ASSIGNMENT = re.compile(
    rf"""
    (?P<kept>(?:(?P<line>{_LINE_NAMES})|{_NAMES})(?:{_SPACE}(?:provided|is|was))?{_SEPARATOR})
    (?P<value>
        (?:[a-z_][\w.]{{0,40}})?[\[({{](?:["'][^"']*+["']?+|[^\])}}"'])*+[\])}}]?[^\s"'&]*
        |[bru]{{0,2}}(?P<open>{_QUOTE}).*?(?:(?<!\\)(?P=open)|\Z)
        |(?(line)[^\r\n"']+|[^\s"'&]+)
    )
    """,
    _FLAGS,
)

_SENSITIVE_NAME = re.compile(rf"{_NAMES}\Z", _FLAGS)


class Redactor:
    """Replaces secrets in a text with `[redacted]`, and cuts it at MAX_TEXT_CHARACTERS. Safe for any thread."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = sorted({form for secret in secrets for form in _spellings(secret)}, key=len, reverse=True)
        self._known = re.compile("|".join(map(_literally, spellings))) if spellings else None
        self._longest = 64 * len(spellings[0]) if spellings else 0

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        lower = text.lower()
        if len(text) <= MAX_TEXT_CHARACTERS and not (_mentions(lower, _WORDS) or self._holds_known(text)):
            return text
        safe = self._without_known(text)
        lower = safe.lower()
        if _mentions(lower, _SCHEME_WORDS):
            safe = _SCHEME.sub(_keep_name, safe)
        if _mentions(lower, _SHAPE_WORDS):
            safe = _SHAPE.sub(REDACTED, safe)
        if _mentions(lower, _NAME_WORDS):
            safe = _ASSIGNMENT.sub(_keep_name, safe)
        if len(text) > MAX_TEXT_CHARACTERS:
            return f"{safe} (cut; {len(text)} characters in all)"
        return safe

    def _holds_known(self, text: str) -> bool:
        return self._known is not None and self._known.search(text) is not None

    def _without_known(self, text: str) -> str:
        if self._known is None:
            return text[:MAX_TEXT_CHARACTERS]
        pieces: list[str] = []
        position = 0
        # It looks past the cut, so that no half of a secret is left in front of it.
        for match in self._known.finditer(text[: MAX_TEXT_CHARACTERS + self._longest]):
            if match.start() >= MAX_TEXT_CHARACTERS:
                break
            pieces += (text[position : match.start()], REDACTED)
            position = match.end()
        return "".join((*pieces, text[position:MAX_TEXT_CHARACTERS]))


def is_sensitive_name(name: str) -> bool:
    """Whether what a field or a header of this name holds is a secret, whatever it looks like."""
    return _mentions(name[-64:].lower(), _NAME_WORDS) and _SENSITIVE_NAME.search(name[-64:]) is not None


def _mentions(lower: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110  # a generator takes three times as long, a hundred times an entry
        if word in lower:
            return True
    return False


def _keep_name(match: re.Match[str]) -> str:
    return match["kept"] + REDACTED


def _literally(spelling: str) -> str:
    return "".join(map(_piece, re.findall(r"\\+|[^\\]", spelling)))


def _piece(piece: str) -> str:
    # Every further encoder doubles the backslashes, and whether it puts one before a quote depends on the rest of the text.
    if piece.startswith("\\"):
        return r"\\{1,64}+"
    return r"\\{0,64}+" + piece if piece in "\"'/" else re.escape(piece)


def _spellings(secret: str) -> set[str]:
    """The secret as it is, and as one encoder, or two after each other, would write it."""
    forms = {form for form in (secret, secret.strip()) if len(form) >= MIN_SECRET_CHARACTERS}
    for _ in range(2):
        forms |= {encode(form) for form in forms for encode in _ENCODERS}
    return forms
