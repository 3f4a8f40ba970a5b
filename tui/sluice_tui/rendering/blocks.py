"""Markdown's block structure, line by line, after the algorithm in CommonMark's appendix, with GFM's tables.

Each line is looked at once, whatever came before it: its way through the open containers, then what it begins or goes on
with. markdown-it reads a whole text and cannot go on; the inline text is its work.

Deliberate differences: HTML and reference definitions are text; a table's row loses no cell; items have space between them
where the source has an empty line there, and not where a later item has one.
"""

import re
from typing import Self

from sluice_tui.rendering.containers import (
    Container,
    Item,
    Quote,
    begun_item,
    begun_quote,
    bullet,
    indentation,
    without_indentation,
)
from sluice_tui.rendering.inline import inline
from sluice_tui.rendering.leaves import Code, Edge, Leaf, Paragraph, Table, cells_of
from sluice_tui.rendering.lines import Flow, Gap, Inline, Line, Prefix, Rule

_HEADING = re.compile(r"(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")
_RULE = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_UNDERLINE = re.compile(r"(=+|-+)[ \t]*$")
_DELIMITERS = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_MAX_NESTING = 30


class _Fence(Code):
    """Code up to a line of as many marks as it began with."""

    def __init__(self, edge: Edge, language: str, number: int, marks: str, indent: int) -> None:
        super().__init__(edge, language, number)
        self.marks, self.indent = marks, indent

    def ends_with(self, line: str) -> bool:
        """Whether this line is its last."""
        marks = line.strip()
        return indentation(line) < 4 and len(marks) >= len(self.marks) and not marks.strip(self.marks[0])


class _Indented(Code):
    """Code that is told by its indentation; empty lines at its end are none of it."""

    def __init__(self, edge: Edge, language: str, number: int) -> None:
        super().__init__(edge, language, number)
        self._empty: list[str] = []

    def copy(self) -> Self:
        """Another one in the same state."""
        other = super().copy()
        other._empty = list(self._empty)
        return other

    def add(self, line: str) -> None:
        """One more line; an empty one only with the next that is not."""
        if not line.strip():
            self._empty.append(line)
            return
        waiting, self._empty = self._empty, []
        for each in (*waiting, line):
            super().add(each)


class BlockParser:
    """Lines of source in, logical lines out: `lines` are final, `open_lines` are how the block that is open looks by now.

    `reflowed` is the place in `lines` from which on they look different than before; the caller takes it back.
    """

    def __init__(self, prefix: Prefix = ()) -> None:
        self.lines: list[Line] = []
        self.codes: list[Code] = []
        self.reflowed: int | None = None
        self._prefix = prefix
        self._stack: list[Container] = []
        self._leaf: Leaf | None = None
        self._leaf_at = 0
        self._blank = False
        self._path: list[int] | None = None
        self._families = 0

    def fork(self) -> "BlockParser":
        """Another one in the same state, without the lines, to try what comes next."""
        other = BlockParser(self._prefix)
        other.codes = list(self.codes)
        other._stack = [container.copy() for container in self._stack]
        other._leaf = self._leaf.copy() if self._leaf else None
        other._blank, other._path, other._families = self._blank, self._path, self._families
        return other

    @property
    def open_lines(self) -> list[Line]:
        """The lines of the open block that may still change."""
        return self._leaf.open() if self._leaf else []

    def feed(self, line: str) -> None:
        """One whole line of source, without its end."""
        matched, rest = self._match(line)
        whole = matched == len(self._stack)
        if whole and isinstance(self._leaf, _Fence):
            self._feed_fence(self._leaf, rest)
        elif not rest.strip():
            self._feed_blank(matched, rest)
        elif whole and isinstance(self._leaf, _Indented) and indentation(rest) >= 4:
            self._leaf.add(without_indentation(rest, 4))
        else:
            self._begin(rest, matched)
        self._collect()

    def extend(self, piece: str) -> None:
        """More of the last line, which is too long to be taken as one."""
        if self._leaf is None:
            self._open(Paragraph(self._edge()))
        if self._leaf:
            self._leaf.extend(piece)
            self._collect()

    def finish(self) -> None:
        """There are no more lines."""
        self._close_to(0)

    # -- where a line belongs

    def _match(self, line: str) -> tuple[int, str]:
        """How many of the open containers it is in, and what is inside them."""
        for index, container in enumerate(self._stack):
            rest = container.rest_of(line)
            if rest is None:
                return index, line
            line = rest
        return len(self._stack), line

    def _feed_fence(self, fence: "_Fence", rest: str) -> None:
        if fence.ends_with(rest):
            self._close_leaf()
        else:
            fence.add(without_indentation(rest, min(fence.indent, indentation(rest))))

    def _feed_blank(self, matched: int, rest: str) -> None:
        if isinstance(self._leaf, _Indented) and matched == len(self._stack):
            self._leaf.add(without_indentation(rest, 4))
            return
        self._close_to(matched)
        last = self._stack[-1] if self._stack else None
        if isinstance(last, Item) and last.over:
            self._show_item(last)
        self._blank = True

    def _begin(self, rest: str, matched: int) -> None:
        """What the line begins: containers first, then a block; else it goes on with the open one."""
        while indentation(rest) < 4:
            opened = self._begin_container(rest, matched)
            if opened is None:
                break
            rest, matched = opened, len(self._stack)
            if not rest.strip():
                return
        whole = matched == len(self._stack)
        if indentation(rest) >= 4:
            if not isinstance(self._leaf, Paragraph):
                self._close_to(matched)
                self._open(_Indented(self._edge(), "", len(self.codes) + 1))
                rest = without_indentation(rest, 4)
        elif self._begin_leaf(rest.lstrip(" "), indentation(rest), matched):
            return
        elif isinstance(self._leaf, Table) and whole:
            pass
        elif not isinstance(self._leaf, Paragraph):
            self._close_to(matched)
            self._open(Paragraph(self._edge()))
        if self._leaf:
            self._leaf.add(rest)

    def _begin_container(self, rest: str, matched: int) -> str | None:
        if len(self._stack) >= _MAX_NESTING and matched == len(self._stack):
            return None
        inside = begun_quote(rest)
        if inside is not None:
            self._close_to(matched)
            self._families += 1
            self._stack.append(Quote(self._families))
            return inside
        if _RULE.match(rest.lstrip(" ")):
            return None
        interrupts = isinstance(self._leaf, Paragraph) and matched == len(self._stack)
        begun = begun_item(rest, interrupts)
        if begun is None:
            return None
        self._begin_item(begun[0], matched)
        return begun[1]

    def _begin_item(self, item: Item, matched: int) -> None:
        """An item goes on with the list of the item in whose place it stands, if it is of the same kind."""
        before = self._stack[matched] if matched < len(self._stack) else None
        self._close_to(matched)
        if isinstance(before, Item) and before.kind == item.kind:
            item.family, item.number = before.family, before.number + 1
        else:
            self._families += 1
            item.family = self._families
        if item.kind in "-+*":
            item.bullet = bullet(sum(isinstance(container, Item) for container in self._stack))
        self._stack.append(item)

    # -- what a line begins

    def _begin_leaf(self, text: str, indent: int, matched: int) -> bool:
        """Whether the line is a heading, a rule or a fence, or makes the open paragraph a heading or a table."""
        if isinstance(self._leaf, Paragraph) and matched == len(self._stack) and self._turn(self._leaf, text):
            return True
        if heading := _HEADING.match(text):
            self._close_to(matched)
            edge = self._edge()
            self._emit(Flow(inline(heading[2] or ""), edge.first, edge.rest, f"h{len(heading[1])}"))
        elif _RULE.match(text):
            self._close_to(matched)
            self._emit(Rule(self._edge().first))
        elif fence := _FENCE.match(text):
            self._close_to(matched)
            marks, info = (fence[1], fence[2]) if fence[1] else (fence[3], fence[4])
            language = info.split(maxsplit=1)[0] if info.strip() else ""
            self._open(_Fence(self._edge(), language, len(self.codes) + 1, marks, indent))
        else:
            return False
        return True

    def _turn(self, paragraph: Paragraph, text: str) -> bool:
        """Whether this line tells that the paragraph is a heading, or that its last line is a table's head."""
        if underline := _UNDERLINE.match(text):
            paragraph.style = "h1" if underline[1][0] == "=" else "h2"
            self._close_leaf()
            return True
        head = paragraph.last_line
        if "|" not in head or not _DELIMITERS.match(text):
            return False
        aligns = [_ALIGNS[cell.startswith(":"), cell.endswith(":")] for cell in cells_of(text)]
        if len(cells_of(head)) != len(aligns):
            return False
        paragraph.take_last_line()
        edge = paragraph.edge
        if not paragraph.empty:
            self._close_leaf()
            edge = self._edge()
        self._open(Table(edge, head, aligns))
        return True

    # -- blocks that open and close

    def _edge(self) -> Edge:
        """What stands left of the block that begins here; a gap comes before it, where one is due."""
        path = [container.family for container in self._stack]
        if self._path is not None:
            common = [new for new, old in zip(path, self._path, strict=False) if new == old]
            self._gap(len(common))
        self._path, self._blank = path, False
        first = (*self._prefix, *(container.piece() for container in self._stack))
        return Edge(first, (*self._prefix, *(container.blank_piece for container in self._stack)))

    def _gap(self, common: int) -> None:
        """Between items there is space only where the source has some."""
        shared = self._stack[:common]
        if self._blank or not any(isinstance(container, Item) for container in shared):
            self.lines.append(Gap((*self._prefix, *(container.blank_piece for container in shared))))

    def _open(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._leaf_at = len(self.lines)
        if isinstance(leaf, Code):
            self.codes.append(leaf)
        self._collect()

    def _collect(self) -> None:
        if self._leaf:
            self.lines += self._leaf.settled()
            if isinstance(self._leaf, Table) and self._leaf.grown:
                self._leaf.grown = False
                self.reflowed = self._leaf_at

    def _emit(self, line: Line) -> None:
        self.lines.append(line)

    def _close_leaf(self) -> None:
        if self._leaf:
            self.lines += [*self._leaf.settled(), *self._leaf.open()]
            self._leaf = None

    def _close_to(self, matched: int) -> None:
        """Close the open block, and the containers beyond that many; an item without content is shown all the same."""
        self._close_leaf()
        while len(self._stack) > matched:
            last = self._stack[-1]
            if isinstance(last, Item):
                self._show_item(last)
            self._stack.pop()

    def _show_item(self, item: Item) -> None:
        """The innermost item's marker, where nothing has shown it."""
        if not item.shown:
            edge = self._edge()
            self._emit(Flow(Inline(""), edge.first, edge.rest))


_ALIGNS = {(False, False): "left", (True, False): "left", (True, True): "center", (False, True): "right"}
