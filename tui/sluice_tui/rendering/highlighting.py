"""Colours for code that is still being written.

A lexer's rules reach over lines, so that a line alone cannot be lexed; all of the code, at each line, would cost more
and more. So the last lines are lexed together, from the state that the lines before them left. Which lines those are
depends on their number alone, so that the colours are the same however the code arrived.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from pygments.lexer import ExtendedRegexLexer, RegexLexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Error, Whitespace, _TokenType
from pygments.util import ClassNotFound
from textual.highlight import HighlightTheme

from sluice_tui.rendering.lines import Span

_WINDOW_LINES = 32
_SETTLED_LINES = 20
_WINDOW_CHARACTERS = 4000

_STYLES: dict[Any, str] = {}
_ROOT = ("root",)

Stack = Sequence[str]

_USUAL = ("python", "bash", "json", "javascript")

_LOOK_AT_ALL_OF_IT = frozenset({"postgresql", "plpgsql"})
"""Lexers whose actions want the whole text, which only their own loop gives them."""

_KEEP_STATE_IN_CLASS = "xquery"
"""One text's end would colour the next one's beginning, in another answer."""

_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""How actions of lexers, which are code of many hands, end on text that they did not expect."""


def prepare() -> None:
    """Load the usual languages' rules, in a thread: compiling them takes up to 0.1 s, which would be felt."""
    for language in _USUAL:
        get_lexer_by_name(language)


class Highlighter:
    """Spans for lines of code in one language; none where it is unknown or not named: nothing is guessed."""

    def __init__(self, language: str) -> None:
        self._lexer = _lexer(language)
        self._stack: Stack = _ROOT
        self._lines: list[str] = []

    def copy(self) -> "Highlighter":
        """Another one, in the same state."""
        other = copy(self)
        other._lines = list(self._lines)
        return other

    def add(self, line: str) -> list[list[Span]]:
        """One more line; the spans of those that no further line can change, in order."""
        self._lines.append(line)
        if self._lexer is None:
            self._lines.clear()
            return [[]]
        if len(self._lines) < _WINDOW_LINES and sum(map(len, self._lines)) < _WINDOW_CHARACTERS:
            return []
        return self._settle(self._lexer)

    def open(self) -> list[list[Span]]:
        """The spans of the lines that `add` has not returned, as they look by now."""
        if self._lexer is None or not self._lines:
            return []
        return _by_line(self._lines, _lexed(self._lexer, _joined(self._lines), self._stack, {}))

    def _settle(self, lexer: RegexLexer) -> list[list[Span]]:
        stacks: dict[int, Stack] = {}
        spans = _by_line(self._lines, _lexed(lexer, _joined(self._lines), self._stack, stacks))
        wanted = max(1, len(self._lines) * _SETTLED_LINES // _WINDOW_LINES)
        # Only where a token begins a line is the state there known; in the middle of a long comment it is lost.
        begins = [(number, stacks[place]) for number, place in _line_starts(self._lines) if place in stacks and number]
        count, self._stack = max((begin for begin in begins if begin[0] <= wanted), default=(wanted, _ROOT))
        self._lines = self._lines[count:]
        return spans[:count]


def _lexer(language: str) -> RegexLexer | None:
    try:
        lexer = get_lexer_by_name(language) if language else None
    except ClassNotFound:
        return None
    return lexer if isinstance(lexer, RegexLexer) and _KEEP_STATE_IN_CLASS not in lexer.aliases else None


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _line_starts(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    place = 0
    for number, line in enumerate(lines):
        yield number, place
        place += len(line) + 1


def _by_line(lines: Sequence[str], tokens: Iterator[tuple[int, Any, str]]) -> list[list[Span]]:
    spans: list[list[Span]] = [[] for _ in lines]
    starts = [place for _, place in _line_starts(lines)]
    number = 0
    for place, kind, text in tokens:
        if not (style := _style(kind)) or text.isspace():
            continue
        for part in text.splitlines(keepends=True) if "\n" in text else (text,):
            while number + 1 < len(starts) and place >= starts[number + 1]:
                number += 1
            start = place - starts[number]
            end = min(start + len(part.rstrip("\n")), len(lines[number]))
            if 0 <= start < end:
                spans[number].append(Span(start, end, style))
            place += len(part)
    return spans


def _style(kind: Any) -> str:
    """The name of the nearest kind that has a colour."""
    if kind not in _STYLES:
        known = kind
        while known is not None and known not in HighlightTheme.STYLES:
            known = known.parent
        _STYLES[kind] = str(known) if known is not None and HighlightTheme.STYLES[known] else ""
    return _STYLES[kind]


def _lexed(lexer: RegexLexer, text: str, stack: Stack, stacks: dict[int, Stack]) -> Iterator[tuple[int, Any, str]]:
    """The tokens, as far as the lexer gets; what it stumbles over has no colours."""
    try:
        if isinstance(lexer, ExtendedRegexLexer) or not _LOOK_AT_ALL_OF_IT.isdisjoint(lexer.aliases):
            # There is more to their state than a stack: they begin at their root, each time.
            yield from lexer.get_tokens_unprocessed(text)
        else:
            yield from _lexed_on(lexer, text, stack, stacks)
    except _FAILURES:
        return


def _lexed_on(lexer: RegexLexer, text: str, stack: Stack, stacks: dict[int, Stack]) -> Iterator[tuple[int, Any, str]]:
    """What `RegexLexer.get_tokens_unprocessed` yields; it also tells the state at each line's start, which that keeps."""
    rules = lexer._tokens  # type: ignore[attr-defined]  # the stubs do not know it
    states = list(stack)
    place = 0
    while place < len(text):
        if place == 0 or text[place - 1] == "\n":
            stacks[place] = tuple(states)
        for match_at, action, transition in rules[states[-1]]:
            if match := match_at(text, place):
                yield from _tokens(lexer, place, action, match)
                _move(states, transition)
                place = match.end()
                break
        else:
            if text[place] == "\n":
                states[:] = _ROOT
            yield place, Whitespace if text[place] == "\n" else Error, text[place]
            place += 1


def _tokens(lexer: RegexLexer, place: int, action: Any, match: Any) -> Iterator[tuple[int, Any, str]]:
    if type(action) is _TokenType:
        yield place, action, match.group()
    elif action is not None:
        yield from action(lexer, match)


def _move(states: list[str], transition: object) -> None:
    steps: Sequence[object] = transition if isinstance(transition, tuple) else () if transition is None else (transition,)
    for step in steps:
        if isinstance(step, int):
            del states[max(1, len(states) + step) :]
        elif step == "#pop":
            del states[max(1, len(states) - 1) :]
        else:
            states.append(states[-1] if step == "#push" else str(step))
