"""How an answer is written: for people and pipes, for programs, and in a chat."""

import json
import re
import time
from dataclasses import asdict
from typing import TextIO

from sluice_tui.errors import as_text, reference
from sluice_tui.reconnecting import AnsweredAtOnce, Cleared, Connected, Progress, Reconnecting
from sluice_tui.safety import MarksInPieces, inert, inert_line
from sluice_tui.session import Turn
from sluice_tui.stream import Onboarding, Stored, reasoning_of
from sluice_wire.errors import ErrorReport
from sluice_wire.events import Delta, Event, Finish, Usage

_END_OF_WORD = re.compile(r".*[ \n\t\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\U00020000-\U0003ffff]", re.DOTALL)
"""Up to the last place where a word ends: at a space, or behind a character that is written without any."""

_LONGEST_HELD = 40
"""So many characters wait for the end of their word: some scripts, and addresses, have no spaces for long."""


class TextPrinter:
    """For people and for pipes: the text, made inert."""

    def __init__(self, out: TextIO, diagnostics: TextIO) -> None:
        self._out = out
        self._diagnostics = diagnostics
        self._at_line_start = True
        self._marks = MarksInPieces()

    def event(self, event: Event | Progress) -> None:
        """Write what was said, at once; and what is to be waited for, beside it."""
        match event:
            case Delta() if event.text:
                self._write(event.text)
            case Reconnecting():
                self._tell(f"the connection is lost; {event.told(event.wait_seconds)}")
            case Cleared():
                self._end_line()
                self._tell("the answer could not be continued: it starts again from its beginning")
            case AnsweredAtOnce():
                self._tell("this answer is not streamed; waiting for the whole of it")
            case Stored() if not event.persisted:
                self._tell("the server could not store this answer yet; keep it if you need it")

    def done(self, turn: Turn) -> None:
        """End the line; say why the model stopped where it did not simply finish."""
        self._end_line()
        if turn.finish_reason not in ("stop", None):
            self._tell(f"the model stopped early ({inert_line(str(turn.finish_reason), 64)})")

    def failed(self, report: ErrorReport) -> None:
        """End the line, and tell the error on the other channel."""
        self._end_line()
        self._tell(as_text(report).replace("\n", "\n        "))

    def _write(self, text: str) -> None:
        self._out.write(inert(self._marks.within(text)))
        self._out.flush()
        self._at_line_start = text.endswith("\n")

    def _tell(self, text: str) -> None:
        # On a terminal both channels share the line; in a pipe the answer stays one text.
        between = "" if self._at_line_start or not (self._out.isatty() and self._diagnostics.isatty()) else "\n"
        self._diagnostics.write(f"{between}sluice: {text}\n")
        self._diagnostics.flush()

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._out.write("\n")
            self._out.flush()
            self._at_line_start = True


class JsonPrinter:
    """For programs: one JSON object a line, in ASCII; the text is exactly the model's."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def event(self, event: Event | Progress) -> None:
        """One line for each event; `restart` voids every `delta` before it."""
        match event:
            case Delta():
                self._said(event)
            case Finish():
                self._line("finish", reason=event.reasons[0])
            case Usage():
                self._line("usage", usage=event.usage)
            case Reconnecting():
                self._line("reconnecting", **asdict(event))
            case Cleared():
                self._line("restart")
            case Connected() if event.stream_id:
                self._line("stream", **asdict(event))
            case Stored():
                self._line("stored", **asdict(event))
            case Onboarding():
                self._line("onboarding", **asdict(event))

    def done(self, turn: Turn) -> None:
        """The last line: how it went."""
        self._line("done", **asdict(turn.measures(time.monotonic())))

    def failed(self, report: ErrorReport) -> None:
        """The last line: why there is no whole answer."""
        self._line("error", error=asdict(report))

    def _said(self, delta: Delta) -> None:
        if thought := reasoning_of(delta):
            self._line("reasoning", text=thought)
        if delta.text:
            self._line("delta", text=delta.text)

    def _line(self, type: str, **fields: object) -> None:
        self._out.write(json.dumps({"type": type, **fields}) + "\n")
        self._out.flush()


class ChatPrinter(TextPrinter):
    """For a chat that is read aloud: whole words at a time, and errors in their parts, each with its name."""

    def __init__(self, out: TextIO, diagnostics: TextIO) -> None:
        super().__init__(out, diagnostics)
        self._word = ""

    def failed(self, report: ErrorReport) -> None:
        """One line for each part."""
        self._end_line()
        parts = (("Error", report.what), ("Why", report.why), ("What to do", report.action), ("Code", reference(report)))
        self._tell("\n".join(f"{name}: {text}" for name, text in parts if text))

    def stopped(self) -> None:
        """The user broke it off."""
        self._end_line()
        self._tell("Stopped.")

    def _write(self, text: str) -> None:
        """A reader speaks what it is given: half a word would be spoken as half a word."""
        text = self._word + text
        word_end = _END_OF_WORD.match(text)
        end = word_end.end() if word_end else 0
        if len(text) - end > _LONGEST_HELD:
            end = len(text)
        self._word = text[end:]
        if end:
            super()._write(text[:end])

    def _end_line(self) -> None:
        word, self._word = self._word, ""
        if word:
            super()._write(word)
        super()._end_line()

    def _tell(self, text: str) -> None:
        text = text[:1].upper() + text[1:]
        self._diagnostics.write(f"{text}\n")
        self._diagnostics.flush()
