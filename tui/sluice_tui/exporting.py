"""A conversation as a file: Markdown to read, or JSON to process. What is there already is never written over."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path

from sluice_tui.safety import inert, inert_line
from sluice_tui.session import Session, Turn, TurnState

_UNSAFE = re.compile(r"[^\w]+")
_NAME_CHARACTERS = 40


def export(session: Session, kind: str, folder: Path, now: datetime) -> Path:
    """Write the conversation into that folder under a name of its own; the file's path. Raises OSError."""
    text = KINDS[kind](session, now)
    topic = _UNSAFE.sub("-", title_of(session).casefold())[:_NAME_CHARACTERS].strip("-") or "conversation"
    stem = f"{topic}-{now:%Y-%m-%d}"
    for number in count(1):
        path = folder / (f"{stem}.{kind}" if number == 1 else f"{stem}-{number}.{kind}")
        try:
            with path.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise AssertionError("numbers do not end")


def title_of(session: Session) -> str:
    """Its title, or the beginning of its first question."""
    first = session.turns[0].question if session.turns else ""
    return inert_line(session.title or first, 60)


def _markdown(session: Session, now: datetime) -> str:
    """For people: inert, since it will be shown in a terminal again."""
    parts = [f"# {title_of(session) or 'Conversation'}", f"Exported from Sluice on {now:%Y-%m-%d %H:%M}."]
    for turn in session.turns:
        parts += ["## You", inert(turn.question), f"## {inert_line(turn.agent or 'Answer', 60)}"]
        parts += [inert(turn.text)] if turn.text else []
        parts += ["*This is not the whole answer.*"] if turn.state is not TurnState.FINISHED else []
    return "\n\n".join(parts) + "\n"


def _json(session: Session, now: datetime) -> str:
    """For programs: ASCII, the texts exactly as they were."""
    turns = [message for turn in session.turns for message in _messages(turn)]
    body = {"id": session.id, "title": title_of(session), "exported": now.isoformat(timespec="seconds"), "messages": turns}
    return json.dumps(body, indent=2) + "\n"


def _messages(turn: Turn) -> list[Mapping[str, object]]:
    answer = {
        "role": "assistant",
        "content": turn.text,
        "agent": turn.agent,
        "status": "complete" if turn.state is TurnState.FINISHED else "partial",
        "finish_reason": turn.finish_reason,
        "usage": turn.usage or None,
    }
    return [{"role": "user", "content": turn.question}, *([answer] if turn.text else [])]


KINDS: Mapping[str, Callable[[Session, datetime], str]] = {"md": _markdown, "json": _json}
"""By the file's suffix."""
