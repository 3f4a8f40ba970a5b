"""The text inside a block: Markdown's inline tokens to text with styles.

Deliberate differences from a browser: HTML is text; an image is its description and address; a link is followed by its
target unless it shows it; what `&#x202e;` and the like spell out is made inert after they have been decoded.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from sluice_tui.rendering.addresses import is_same_address
from sluice_tui.rendering.lines import Inline, Link, Span
from sluice_tui.safety import MarksInPieces, inert, within_marks

_MARKDOWN = MarkdownIt("gfm-like", {"html": False})
_SPECIAL = re.compile(r"[\\`*_\[\]<&!~\n@\t]|://|www\.", re.IGNORECASE)
_STYLES = {"em_open": "em", "strong_open": "strong", "s_open": "strike", "link_open": "link"}


def inline(source: str) -> Inline:
    """The text of a paragraph, a heading or a cell; a newline in it is a line break that the author wants."""
    if not _SPECIAL.search(source):
        return Inline(within_marks(source.strip()))
    writer = _Writer()
    for token in _MARKDOWN.parseInline(source.strip())[0].children or ():
        writer.take(token)
    return Inline("".join(writer.parts), writer.spans, writer.links)


class _Writer:
    """Collects what is shown."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.spans: list[Span] = []
        self.links: list[Link] = []
        self._length = 0
        self._marks = MarksInPieces()
        self._styles: list[str] = []
        self._targets: list[tuple[int, str]] = []

    def take(self, token: Token) -> None:
        """One token, in order."""
        if style := _STYLES.get(token.type):
            self._open(style, token)
        elif token.nesting < 0:
            self._close(token)
        elif token.type == "image":
            self._write(f"{token.content} ({token.attrs['src']})".lstrip())
        elif token.type == "code_inline":
            self._write(token.content, "code")
        else:
            self._write({"softbreak": " ", "hardbreak": "\n"}.get(token.type, token.content))

    def _open(self, style: str, token: Token) -> None:
        self._styles.append(style)
        if style == "link":
            self._targets.append((self._length, inert(str(token.attrs["href"]))))

    def _close(self, token: Token) -> None:
        self._styles.pop()
        if token.type == "link_close":
            start, target = self._targets.pop()
            self.links.append(Link(start, self._length, target))
            if not is_same_address("".join(self.parts)[start:], target):
                self._write(f" ({target})", "target")

    def _write(self, content: str, *styles: str) -> None:
        text = self._marks.within(inert(content).replace("\t", " "))
        if not text:
            return
        if style := " ".join([*dict.fromkeys(self._styles), *styles]):
            self.spans.append(Span(self._length, self._length + len(text), style))
        self.parts.append(text)
        self._length += len(text)
