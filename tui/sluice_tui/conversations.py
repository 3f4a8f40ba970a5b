"""What a Sluice server stores for its user: conversations, and where they stand with an agent's first questions.

Over the API's own transport. Everything here raises ClientError.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sluice_tui.api import Api
from sluice_tui.errors import client_error

PAGE = 100
MAX_CONVERSATIONS = 2_000
MAX_MESSAGES = 4_000
"""Bounds on what is read: nobody looks through more, and no model reads it."""


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
        """All of them, last updated first, in pages."""
        cursor, seen = None, 0
        while seen < MAX_CONVERSATIONS:
            page = await self._api.call("GET", "/conversations", query=_page(cursor))
            summaries = [_summary(item) for item in _list(page)]
            seen += len(summaries)
            yield summaries
            cursor = _cursor(page)
            if cursor is None:
                return

    async def read(self, conversation_id: str) -> tuple[Summary, list[Message]]:
        """One with its messages, oldest first."""
        cursor, messages = None, list[Message]()
        while True:
            body = await self._api.call("GET", _path(conversation_id), query=_page(cursor))
            page = _field(body, "messages", dict)
            messages += [_message(item) for item in _list(page)]
            cursor = _cursor(page)
            if cursor is None or len(messages) >= MAX_MESSAGES:
                return _summary(body), messages

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
        created=float(_field(body, "created", float | int)),
        updated=float(_field(body, "updated", float | int)),
        message_count=_field(body, "message_count", int),
    )


def _message(body: Any) -> Message:
    def optional(name: str, kind: Any, default: Any) -> Any:
        value = body.get(name)
        return value if isinstance(value, kind) else default

    return Message(
        id=_field(body, "id", str),
        role=_field(body, "role", str),
        content=_field(body, "content", str),
        status=optional("status", str, ""),
        created=float(optional("created", float | int, 0)),
        usage=optional("usage", dict, {}),
        finish_reason=optional("finish_reason", str, ""),
        stream_id=optional("stream_id", str, ""),
        time_to_first_token_ms=optional("time_to_first_token_ms", float | int, None),
        generation_ms=optional("generation_ms", float | int, None),
    )
