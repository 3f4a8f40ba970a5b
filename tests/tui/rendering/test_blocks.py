"""The block structure, beside the one that markdown-it finds in the whole text."""

import re
from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from sluice_tui.rendering.inline import inline
from tests.tui.rendering.showing import LINES, shown

WIDE = 10_000
_REFERENCE = MarkdownIt("gfm-like", {"html": False}).disable("reference")
_BULLETS = "•◦▪"


class Reference:
    """markdown-it's tokens as the rows that ours should be, without the gaps between them."""

    def __init__(self, source: str) -> None:
        self.rows: list[str] = []
        self._left: list[str] = []
        self._marker = ""
        self._lists: list[int | None] = []
        self._codes = 0
        self._cells: list[str] | None = None
        # markdown-it ends a list at the second empty line after an empty item; CommonMark counts no empty lines.
        for token in _REFERENCE.parse(re.sub(r"\n{3,}", "\n\n", source) + "\n"):
            self._take(token)

    def _take(self, token: Token) -> None:
        match token.type:
            case "blockquote_open":
                self._left.append("▌ ")
            case "bullet_list_open" | "ordered_list_open":
                self._lists.append(int(token.attrs.get("start", 1)) if token.tag == "ol" else None)
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._left.append(self._item(token))
            case "list_item_close" | "blockquote_close":
                if "\0" in self._left[-1]:
                    self._write("")
                self._left.pop()
            case "inline":
                self._inline(token)
            case "hr":
                self._write("───")
            case "fence" | "code_block":
                self._code(token)
            case "tr_open":
                self._cells = []
            case "tr_close":
                self._write(" │ ".join(self._cells or ()).rstrip())
                self._cells = None
            case "thead_close":
                self._write("───")

    def _item(self, token: Token) -> str:
        number = self._lists[-1]
        if number is None:
            return "\0" + _BULLETS[min(2, sum(left[:1] in "\0 " for left in self._left))] + " "
        self._lists[-1] = number + 1
        return f"\0{number}{token.markup} "

    def _inline(self, token: Token) -> None:
        text = inline(token.content).text
        if self._cells is not None:
            self._cells.append(text)
        else:
            for row in text.split("\n"):
                self._write(row)

    def _code(self, token: Token) -> None:
        self._codes += 1
        language = token.info.split(maxsplit=1)[0] if token.info.strip() else "code"
        self._write(f" {language} · {self._codes}")
        for line in token.content.split("\n")[:-1]:
            self._write(f" {line}")

    def _write(self, text: str) -> None:
        first = "".join(self._left).replace("\0", "")
        self._left = [" " * (len(left) - 1) if left.startswith("\0") else left for left in self._left]
        self.rows.append(f"{first}{text}".rstrip())


def _ours(source: str) -> Iterator[str]:
    for row in shown([source], WIDE).rows():
        text = "".join(piece.text for piece in row.pieces)
        if "─┼─" in text or set(text.lstrip(" ▌•◦▪0123456789.)")) == {"─"}:
            text = text.rstrip("─┼") + "───"
        yield " ".join(text.split()).rstrip(" │")


def _without_gaps(rows: Iterator[str]) -> list[str]:
    return [row for row in rows if row.replace("▌", "").strip()]


# Of a row with too many cells ours loses none; markdown-it does.
TABLE_LINES = ("| a | b |", "|---|:-:|", "| 1 | [/] |", "a | b", "--- | ---")
lines = st.sampled_from(
    [*TABLE_LINES, *(line for line in LINES if line.isascii() and "\x1b" not in line and "|" not in line)]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=14).map("\n".join))
@example("- a\n\n  b\n\n\n- c\n> d\ne\n***\n1. f\n2. g\n3) h")
@example("1.\n\n1. one")
@example("1.\n\n\n1. one")
@example("1.\n\ntext\n\n1. one")
def test_the_blocks_are_those_that_markdown_it_finds(source: str) -> None:
    expected = (" ".join(row.split()).rstrip(" │") for row in Reference(source).rows)

    assert _without_gaps(_ours(source)) == _without_gaps(expected)
