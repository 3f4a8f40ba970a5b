"""What a document looks like, as text, after its pieces have been taken in."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

from sluice_tui.rendering.document import Document
from sluice_tui.rendering.layout import Layout
from sluice_tui.rendering.lines import Row

LINES = (
    *("# Heading", "text", "*a* **b** `c`", "- item", "  - nested", "1. one", "3) three", "> quote", "", "", "---", "***"),
    *("===", "\\*", "```python", "```", "~~~", "x = 1  # 1", "    code", "| a | b |", "|---|:-:|", "| 1 | [/] | 3 |"),
    *("日本語 🇩🇪 é", "- - deep", "-", "1.", ">", "> - both", "   three", "  two", "+ plus", '"""', "'''", "def f():"),
    *("<think>", "</think>", "<b>bold</b>", "[1]: https://x.test 't'", "[t](u)", "![i](j)", "www.x.test", "[^1]", "a  "),
    *("&lt;&#x202e;&#27;", "\u2028", "a\u0085b", "\x1b[31m", "👩‍👩‍👧‍👦 ❤️ שלום", "word " * 30, "漢字" * 40, "x" * 90),
)
documents = st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=6)), max_size=14).map("\n".join)
places = st.lists(st.integers(0, 400), max_size=12)


def cut(text: str, places: Sequence[int]) -> list[str]:
    """The text in pieces that end at those places."""
    ends = sorted({0, len(text), *(place for place in places if place < len(text))})
    return [text[start:end] for start, end in pairwise(ends)]


class Shown:
    """A document and its rows at a width."""

    def __init__(self, width: int = 60) -> None:
        self.document = Document()
        self.layout = Layout()
        self._width = width
        self._advance()

    def write(self, text: str) -> "Shown":
        self.document.feed(text)
        self._advance()
        return self

    def end(self) -> "Shown":
        self.document.finish()
        self._advance()
        return self

    def rows(self) -> list[Row]:
        return [self.layout.row(number) for number in range(self.layout.height)]

    def text(self) -> str:
        return "\n".join("".join(piece.text for piece in row.pieces).rstrip() for row in self.rows())

    def _advance(self) -> None:
        while True:
            changed = self.document.advance()
            self.layout.lay(self.document.lines, self._width, changed)
            if not self.document.behind:
                return


def shown(pieces: Sequence[str], width: int = 60) -> Shown:
    """All of it."""
    view = Shown(width)
    for piece in pieces:
        view.write(piece)
    return view.end()


def text_of(source: str, width: int = 60) -> str:
    return shown([source], width).text()
