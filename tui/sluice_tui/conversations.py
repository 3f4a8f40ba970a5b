"""What a Sluice server stores for its user: conversations, and where they stand with an agent's first questions.

Over the API's own transport. Everything here raises ClientError.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sluice_tui.api import Api
from sluice_tui.errors import client_error

PAGE = 100
MAX_CONVERSATIONS = 2_000
MAX_MESSAGES = 4_000
"""Bounds on what is kept: nobody looks through more, and no model reads it."""

MAX_PAGES = 200
"""Of a conversation's messages; whoever has more of them sends the same ones again and again."""

MAX_TIME = 32_503_680_000.0
MAX_MILLISECONDS = 1000 * MAX_TIME
"""The year 3000: no calendar tells every number."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation without its messages; times are seconds since the epoch."""

    id: str
    title: str
    agent: str
    created: float
    updated: float
    message_count: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `status` is complete, partial or failed, "" where it is not told."""

    id: str
    role: str
    content: str
    status: str
    created: float
    usage: Mapping[str, Any]
    finish_reason: str
    stream_id: str
    time_to_first_token_ms: float | None
    generation_ms: float | None


@dataclass(frozen=True, slots=True)
class Guidance:
    """Where the user stands with an agent's questions; `question` is the one to answer next."""

    step: int
    total: int
    done: bool
    question: str


class Conversations:
    """The routes."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def pages(self) -> AsyncIterator[list[Summary]]:
        """All of them, each once, last updated first, in pages."""
        cursor, seen = None, set[str]()
        for _ in range(MAX_CONVERSATIONS // PAGE):
            page = await self._api.call("GET", "/conversations", query=_page(cursor))
            # One that is updated meanwhile moves to another page.
            summaries = {summary.id: summary for summary in map(_summary, _list(page)) if summary.id not in seen}
            seen |= summaries.keys()
            yield list(summaries.values())
            cursor = _cursor(page)
            if cursor is None:
                return

    async def read(self, conversation_id: str) -> tuple[Summary, list[Message]]:
        """One with its newest messages, the oldest of them first."""
        cursor, messages = None, deque[Message](maxlen=MAX_MESSAGES)
        for _ in range(MAX_PAGES):
            body = await self._api.call("GET", _path(conversation_id), query=_page(cursor))
            page = _field(body, "messages", dict)
            messages.extend(map(_message, _list(page)))
            cursor = _cursor(page)
            if cursor is None:
                return _summary(body), list(messages)
        raise client_error("invalid_reply", name="next_cursor")

    async def rename(self, conversation_id: str, title: str) -> Summary:
        """Give it another title."""
        return _summary(await self._api.call("PATCH", _path(conversation_id), body={"title": title}))

    async def delete(self, conversation_id: str) -> None:
        """Remove it with all its messages."""
        await self._api.call("DELETE", _path(conversation_id))

    async def fork(self, conversation_id: str, message_id: str) -> Summary:
        """A new conversation with the messages up to and including that one."""
        return _summary(await self._api.call("POST", f"{_path(conversation_id)}/fork", body={"message_id": message_id}))

    async def guidance(self, agent: str) -> Guidance:
        """Where the user stands with that agent's questions; with most agents there are none."""
        body = await self._api.call("GET", f"/onboarding/{quote(agent, safe='')}")
        question = body.get("question") if isinstance(body, dict) else None
        return Guidance(
            step=_field(body, "step", int),
            total=_field(body, "total", int),
            done=_field(body, "done", bool),
            question=question if isinstance(question, str) else "",
        )

    async def start_again(self, agent: str) -> None:
        """Forget the answers to an agent's questions."""
        await self._api.call("DELETE", f"/onboarding/{quote(agent, safe='')}")


def _path(conversation_id: str) -> str:
    return f"/conversations/{quote(conversation_id, safe='')}"


def _page(cursor: str | None) -> dict[str, Any]:
    return {"limit": PAGE} if cursor is None else {"limit": PAGE, "cursor": cursor}


def _field(body: Any, name: str, kind: Any) -> Any:
    """A field that has to be there. Raises ClientError."""
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, kind):
        raise client_error("invalid_reply", name=name)
    return value


def _list(page: Any) -> list[Any]:
    listed: list[Any] = _field(page, "data", list)
    return listed


def _cursor(page: Any) -> str | None:
    cursor = page.get("next_cursor") if isinstance(page, dict) else None
    return cursor if isinstance(cursor, str) else None


def _summary(body: Any) -> Summary:
    return Summary(
        id=_field(body, "id", str),
        title=_field(body, "title", str),
        agent=_field(body, "agent", str),
        created=_bounded(_field(body, "created", float | int), MAX_TIME),
        updated=_bounded(_field(body, "updated", float | int), MAX_TIME),
        message_count=_field(body, "message_count", int),
    )


def _message(body: Any) -> Message:
    def optional(name: str, kind: Any, default: Any) -> Any:
        value = body.get(name)
        return value if isinstance(value, kind) else default

    def milliseconds(name: str) -> float | None:
        value = optional(name, float | int, None)
        return None if value is None else _bounded(value, MAX_MILLISECONDS)

    return Message(
        id=_field(body, "id", str),
        role=_field(body, "role", str),
        content=_field(body, "content", str),
        status=optional("status", str, ""),
        created=_bounded(optional("created", float | int, 0), MAX_TIME),
        usage=optional("usage", dict, {}),
        finish_reason=optional("finish_reason", str, ""),
        stream_id=optional("stream_id", str, ""),
        time_to_first_token_ms=milliseconds("time_to_first_token_ms"),
        generation_ms=milliseconds("generation_ms"),
    )


def _bounded(number: float, most: float) -> float:
    """0 for what is no time: too much, too little, or no number at all."""
    return float(number) if 0 <= number <= most else 0.0
