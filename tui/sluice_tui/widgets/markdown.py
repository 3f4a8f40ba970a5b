"""Markdown from a model, as Textual's widget renders it, but for what would hide text or act on its own.

Deliberate differences from Textual's Markdown:

* HTML is text: as a block, a bare `<think>` line would vanish.
* Reference definitions are text: they would vanish too, and an appended part never sees those of the parts before it.
* Characters that a terminal would act upon are made visible again after `&#x202e;` and the like have been decoded.
* A link is followed by its target, unless it shows it; an image is text. Nothing opens by itself.
* A fence without a language is plain: guessing one would run over the whole block at each append.
* Table cells have no tooltip, which would be read as markup; a table that grows is rendered anew.
* While an answer streams, a cursor stands behind its last character.
"""

from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.widgets import Markdown
from textual.widgets._markdown import MarkdownBlock, MarkdownTable, MarkdownTableContent

from sluice_tui.safety import Inert, inert

CURSOR = "▍"
"""What stands at the end of an answer that is still being written."""


class TableCells(MarkdownTableContent):
    """The cells of a table, without tooltips."""

    def compose(self) -> ComposeResult:
        """The cells."""
        for cell in super().compose():
            cell.tooltip = None
            yield cell


class Table(MarkdownTable):
    """A table that is rendered anew when it grows: Textual's own misses changed rows."""

    def compose(self) -> ComposeResult:
        """The cells, in rows."""
        yield TableCells(*self._get_headers_and_rows())

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        await MarkdownBlock._update_from_block(self, block)


class InertMarkdown(Markdown):
    """Markdown of which nothing acts, hides or vanishes. Only ever `append` to it."""

    def __init__(self) -> None:
        super().__init__(parser_factory=self._parser, open_links=False)
        self._writing = True

    def write(self, text: Inert) -> AwaitComplete:
        """Append some more text; the cursor stands behind it."""
        return self.append(text)

    def end(self) -> AwaitComplete:
        """There is no more text: take the cursor away."""
        self._writing = False
        return self.append("")

    def get_block_class(self, block_name: str) -> type[MarkdownBlock]:
        """Textual's block for a kind of token, or ours."""
        return Table if block_name == "table_open" else super().get_block_class(block_name)

    def _parser(self) -> MarkdownIt:
        parser = MarkdownIt("gfm-like", {"html": False}).disable("reference")
        parser.core.ruler.push("inert", _make_inert)
        if self._writing:
            parser.core.ruler.push("cursor", _put_cursor)
        return parser


def _make_inert(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("fence", "code_block"):
            token.info = _language(token.info)
        elif token.children:
            token.children = [
                shown for place, child in enumerate(token.children) for shown in _shown(child, token.children[:place])
            ]


def _shown(child: Token, before: list[Token]) -> list[Token]:
    child.content = inert(child.content)
    if child.type == "image":
        return [_text(f"{child.content} ({inert(str(child.attrs['src']))})".lstrip())]
    if child.type == "link_close":
        return [*_target(before), child]
    return [child]


def _target(before: list[Token]) -> list[Token]:
    """The target of the link that ends after these tokens, as text; nothing where the text is the target."""
    # From the end: tokens are compared by value, and one link's brackets are equal to another's.
    start = max(index for index, token in enumerate(before) if token.type == "link_open")
    target = inert(str(before[start].attrs["href"]))
    text = "".join(token.content for token in before[start:])
    return [] if _is_same_address(text, target) else [_text(f" ({target})")]


def _is_same_address(text: str, target: str) -> bool:
    """Whether the text is the target, but for percent-encoding or a scheme that was added: never another host."""
    return any(_read(scheme + text) == _read(target) for scheme in ("", "http://", "https://", "mailto:"))


def _read(address: str) -> tuple[str, str]:
    """The scheme and host as they stand, and what follows them decoded: `%2F` in a host is no slash."""
    scheme, separator, rest = address.partition("://")
    host_end = next((place for place, character in enumerate(rest) if character in "/?#"), len(rest))
    return scheme + separator + rest[:host_end], unquote(rest[host_end:])


def _language(info: str) -> str:
    """Textual's highlighter takes a name it does not know for plain text, and guesses where there is none."""
    return info.split(maxsplit=1)[0] if info.strip() else "text"


def _put_cursor(state: StateCore) -> None:
    if not state.tokens:
        inline = Token("inline", "", 0, children=[_text(CURSOR)])
        state.tokens = [Token("paragraph_open", "p", 1), inline, Token("paragraph_close", "p", -1)]
        return
    # Only the last block is rendered again with the next append; in an earlier one the cursor would stay.
    begin = max(index for index, token in enumerate(state.tokens) if token.level == 0 and token.nesting >= 0)
    written = [token for token in state.tokens[begin:] if token.type in ("inline", "fence", "code_block")]
    if not written:
        return
    if written[-1].children is not None:
        written[-1].children.append(_text(CURSOR))
    else:
        written[-1].content = written[-1].content.rstrip("\n") + CURSOR


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
