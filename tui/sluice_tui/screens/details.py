"""Everything that is known about one turn, for those who pay for it or look for it in a log."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from sluice_tui import clipboard
from sluice_tui.safety import inert_line
from sluice_tui.session import MAX_TOKENS, Session, Turn

Fact = tuple[str, str]


class DetailsScreen(ModalScreen[None]):
    """One turn at a time, the last one first: of those that there are when it is opened, whatever becomes of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "go(-1)", "Before", priority=True),
        Binding("right", "go(1)", "After", priority=True),
        Binding("c", "copy", "Copy"),
        Binding("escape,f3,q", "dismiss", "Close"),
    ]

    def __init__(self, session: Session, place: str) -> None:
        super().__init__()
        self._session = session
        self._place = place
        self._turns = list(session.turns)
        self._number = len(self._turns)
        self._title = Static(markup=False, classes="title")
        self._facts = Static(markup=False)

    def compose(self) -> ComposeResult:
        """A box over the chat."""
        with Vertical(classes="box"):
            yield self._title
            with VerticalScroll():
                yield self._facts
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Keep the figures of a turn that goes on up to date."""
        self._show()
        self.set_interval(0.5, self._show)

    def action_go(self, step: int) -> None:
        """To the turn before or after."""
        self._number = min(max(1, self._number + step), len(self._turns))
        self._show()

    async def action_copy(self) -> None:
        """Put it on the clipboard, for a report."""
        known = "\n".join(f"{name}: {value}" for name, value in self._known())
        self.notify(f"Details copied {await clipboard.copy(self.app, known)}.")

    def _known(self) -> list[Fact]:
        turn = self._turns[self._number - 1]
        return [*facts(turn, time.monotonic()), *_conversation(self._session, self._place)]

    def _show(self) -> None:
        self._title.update(f"Turn {self._number} of {len(self._turns)}")
        width = max(len(name) for name, _ in self._known())
        lines = [Content.styled(f"{name:<{width}}  ", "$foreground-muted") + Content(value) for name, value in self._known()]
        self._facts.update(Content("\n").join(lines))


def facts(turn: Turn, now: float) -> Sequence[Fact]:
    """What is known, as names and values fit to be shown."""
    measures = turn.measures(now)
    known = {
        "question": inert_line(turn.question, 60),
        "agent": inert_line(turn.agent, 60),
        "state": str(turn.state),
        "finish reason": inert_line(turn.finish_reason or "", 60),
        "error": turn.report.code if turn.report else "",
        "first token": "" if measures.first_token_ms is None else f"{measures.first_token_ms:,.0f} ms",
        "pace": "" if measures.tokens_per_second is None else f"{measures.tokens_per_second:,.1f} tokens/s",
        "elapsed": f"{measures.elapsed_seconds:.1f} s",
        **dict(_usage(turn.usage)),
        "characters": f"{len(turn.text):,}",
        "saved": {True: "yes", False: "not yet", None: ""}[turn.persisted],
        "stream id": inert_line(turn.stream_id, 128),
        "correlation id": inert_line(turn.correlation_id or (turn.report.correlation_id if turn.report else ""), 128),
        "trace id": turn.key,
    }
    return [(name, value) for name, value in known.items() if value]


def _usage(usage: Mapping[str, object], before: str = "") -> Iterator[Fact]:
    """OpenAI's counts, those within its details too."""
    for name, value in list(usage.items())[:20]:
        words = inert_line(f"{before}{name}".replace("_", " "), 40)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_TOKENS:
            yield words, f"{value:,}"
        elif isinstance(value, Mapping) and not before:
            yield from ((name, count) for name, count in _usage(value, f"{name.removesuffix('_details')}: ") if count != "0")


def _conversation(session: Session, place: str) -> list[Fact]:
    return [("server", place), ("conversation", inert_line(session.id, 128))] if session.id else [("server", place)]
