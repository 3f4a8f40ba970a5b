"""An answer's text as logical lines, while it grows."""

import re
from collections.abc import Iterator

from sluice_tui.rendering.blocks import BlockParser
from sluice_tui.rendering.lines import Flow, Inline, Line, Prefix

MAX_LINE_CHARACTERS = 1200
"""A line of source that is longer is taken in pieces, so that it is not read again and again while it grows."""

BATCH_CHARACTERS = 2048
"""So much new text is parsed at once, at most; more would be felt while somebody types."""

# A line of marks alone: `-` may become an item, a rule or an underline that makes the paragraph above it a heading.
_UNDECIDED = re.compile(r"[ \t]*(?:[-=*_+#>`~|:\s]*|\d{1,9}[.)]?[ \t]*)$")


_CODE = re.compile(r"```|~~~|^(?: {4}|\t)", re.MULTILINE)
"""What every block of code has: most texts have none, and need not be parsed to know it."""


class Document:
    """Markdown as it arrives; `lines` are what is to be shown now. The outcome depends on the text, not on its pieces."""

    def __init__(self, prefix: Prefix = ()) -> None:
        self.lines: list[Line] = []
        self._prefix = prefix
        self._parser = BlockParser(prefix)
        self._parts: list[str] = []
        self._rest = ""
        self._is_piece = False
        self._finished = False
        self._settled = 0

    def feed(self, text: str) -> None:
        """Some more text; it is looked at by `advance`."""
        self._parts.append(text)

    def finish(self) -> None:
        """There is no more text."""
        self._finished = True

    @property
    def behind(self) -> bool:
        """Whether `advance` has something to do."""
        return bool(self._parts)

    @property
    def codes(self) -> list[str]:
        """The source of each block of code, in order."""
        return ["\n".join(code.source) for code in self._parser.codes]

    def advance(self) -> int:
        """Take in some of the text; the index in `lines` from which on they are new."""
        self._take(self._batch())
        return self._show()

    def _batch(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        text = self._parts.pop() if self._parts else ""
        if len(text) > BATCH_CHARACTERS:
            self._parts.append(text[BATCH_CHARACTERS:])
        return text[:BATCH_CHARACTERS]

    def _take(self, text: str) -> None:
        for line, whole in self._cut(text):
            if self._is_piece:
                self._parser.extend(line)
            else:
                self._parser.feed(line)
            self._is_piece = not whole
        if self._finished and not self.behind:
            if self._rest:
                (self._parser.extend if self._is_piece else self._parser.feed)(self._rest)
                self._rest = ""
            self._parser.finish()

    def _cut(self, text: str) -> Iterator[tuple[str, bool]]:
        """Lines that are whole, and pieces of those that are too long; the rest is kept."""
        *lines, last = (self._rest + text).split("\n")
        for line in lines:
            *pieces, end = _pieces(line)
            yield from ((piece, False) for piece in pieces)
            yield end, True
        *pieces, self._rest = _pieces(last)
        yield from ((piece, False) for piece in pieces)

    def _show(self) -> int:
        settled, reflowed = self._parser.lines, self._parser.reflowed
        self._parser.reflowed = None
        # The last line that was final may have carried the cursor.
        changed = max(0, self._settled - 1) if reflowed is None else min(reflowed, max(0, self._settled - 1))
        self._settled = len(settled)
        self.lines[changed:] = [*settled[changed:], *self._open_lines()]
        if not self._finished or self.behind:
            self._put_cursor()
        return changed

    def _open_lines(self) -> list[Line]:
        if not self._rest or _UNDECIDED.match(self._rest):
            return self._parser.open_lines
        fork = self._parser.fork()
        if self._is_piece:
            fork.extend(self._rest)
        else:
            fork.feed(self._rest)
        fork.finish()
        return fork.lines

    def _put_cursor(self) -> None:
        with_cursor = self.lines[-1].with_cursor() if self.lines else None
        if with_cursor:
            self.lines[-1] = with_cursor
        else:
            self.lines.append(Flow(Inline("").with_cursor(), self._prefix, self._prefix))


def code_blocks(text: str) -> list[str]:
    """The source of each block of code in a whole text, in order."""
    if not _CODE.search(text):
        return []
    document = Document()
    document.feed(text)
    document.finish()
    while document.behind:
        document.advance()
    return document.codes


def _pieces(line: str) -> list[str]:
    """A long line, cut at fixed places where they are not inside of a word."""
    pieces = []
    while len(line) > MAX_LINE_CHARACTERS:
        space = line.rfind(" ", MAX_LINE_CHARACTERS // 2, MAX_LINE_CHARACTERS)
        place = space + 1 or MAX_LINE_CHARACTERS
        pieces.append(line[:place])
        line = line[place:]
    return [*pieces, line]
