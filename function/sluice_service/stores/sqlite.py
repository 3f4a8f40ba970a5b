"""Conversations in one SQLite file: the embedded default, with nothing to install."""

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sluice_service.stores import pages
from sluice_service.stores.base import (
    PAGE_CHARACTERS,
    Clock,
    Conversation,
    Message,
    Page,
    Progress,
    begun,
    no_such_conversation,
    no_such_message,
    require_appendable,
    title_of_fork,
)
from sluice_service.stores.sqlite_connections import Connections
from sluice_service.stores.texts import original, storable

BUSY_SECONDS = 5.0

_PUT_CONVERSATION = """
INSERT INTO conversations (id, user, agent, title, created, updated, message_count)
VALUES (:id, :user, :agent, :title, :created, :updated, :message_count)
ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, message_count = excluded.message_count
"""

_PUT_MESSAGE = """
INSERT INTO messages (conversation, sequence, id, role, status, created, usage, finish_reason, stream_id,
                      time_to_first_token_ms, generation_ms, content)
VALUES (:conversation, :sequence, :id, :role, :status, :created, :usage, :finish_reason, :stream_id,
        :time_to_first_token_ms, :generation_ms, :content)
ON CONFLICT (conversation, id) DO UPDATE SET
    role = excluded.role, status = excluded.status, created = excluded.created, usage = excluded.usage,
    finish_reason = excluded.finish_reason, stream_id = excluded.stream_id,
    time_to_first_token_ms = excluded.time_to_first_token_ms, generation_ms = excluded.generation_ms,
    content = excluded.content
WHERE NOT (messages.status = 'complete' AND excluded.status = 'partial')
RETURNING sequence
"""

_COPY_MESSAGES = """
INSERT INTO messages (conversation, sequence, id, role, status, created, usage, finish_reason, stream_id,
                      time_to_first_token_ms, generation_ms, content)
SELECT ?, sequence, id, role, status, created, usage, finish_reason, stream_id,
       time_to_first_token_ms, generation_ms, content
FROM messages WHERE conversation = ? AND sequence <= ?
"""

_PUT_PROGRESS = """
INSERT INTO progress (user, agent, step, answers) VALUES (?, ?, ?, ?)
ON CONFLICT (user, agent) DO UPDATE SET step = excluded.step, answers = excluded.answers
"""


class SqliteStore:
    """A ConversationStore in the file `path`, or in memory (None) for as long as it is open.

    Safe under many threads and processes; a locked file is waited for, `busy_seconds` at most. Raises ValueError for a
    file that cannot be used.
    """

    def __init__(self, path: Path | None, *, busy_seconds: float = BUSY_SECONDS, clock: Clock = time.time) -> None:
        self._connections = Connections(path, busy_seconds)
        self._connections.prepare()
        self._clock = clock

    def append(
        self, user: str, conversation_id: str, agent: str, messages: Sequence[Message], title: str | None
    ) -> Conversation:
        """See ConversationStore."""
        require_appendable(messages)
        with self._connections.writing("append") as connection:
            now = self._clock()
            known = _find(connection, user, conversation_id) or begun(user, conversation_id, agent, title, now)
            count = known.message_count
            for message in messages:
                written = connection.execute(_PUT_MESSAGE, _parameters(conversation_id, count + 1, message)).fetchone()
                count = max(count, *(written or (count,)))
            return _put(connection, replace(known, updated=now, message_count=count))

    def recent(self, user: str, conversation_id: str, max_messages: int, max_characters: int) -> list[Message]:
        """See ConversationStore."""
        with self._connections.reading("recent") as connection:
            if _find(connection, user, conversation_id) is None:
                return []
            rows = connection.execute(
                "SELECT * FROM messages WHERE conversation = ? ORDER BY sequence DESC LIMIT ?",
                (conversation_id, max_messages),
            )
            newest_first = (_message(row) for row in rows)
            return pages.fitting(newest_first, max_characters, lambda message: len(message.content))[::-1]

    def conversations(self, user: str, limit: int, cursor: str | None = None) -> Page[Conversation]:
        """See ConversationStore."""
        scope = ("conversations", user)
        updated, last_id = pages.decode(cursor, [float("inf"), ""], *scope)
        with self._connections.reading("conversations") as connection:
            rows = connection.execute(
                "SELECT * FROM conversations WHERE user = ? AND (updated, id) < (?, ?) "
                "ORDER BY updated DESC, id DESC LIMIT ?",
                (storable(user), updated, last_id, limit + 1),
            )
            found = [_conversation(row) for row in rows]
        items = found[:limit]
        more = len(found) > limit
        return Page(tuple(items), pages.encode([items[-1].updated, items[-1].id], *scope) if more else None)

    def conversation(self, user: str, conversation_id: str) -> Conversation:
        """See ConversationStore."""
        with self._connections.reading("conversation") as connection:
            return _existing(connection, user, conversation_id)

    def messages(self, user: str, conversation_id: str, limit: int, cursor: str | None = None) -> Page[Message]:
        """See ConversationStore."""
        scope = ("messages", user, conversation_id)
        (after,) = pages.decode(cursor, [0], *scope)
        with self._connections.reading("messages") as connection:
            _existing(connection, user, conversation_id)
            rows = connection.execute(
                "SELECT * FROM messages WHERE conversation = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                (conversation_id, after, limit + 1),
            )
            numbered = ((row["sequence"], _message(row)) for row in rows)
            items, more = pages.taken(numbered, limit, PAGE_CHARACTERS, lambda item: len(item[1].content))
        return Page(tuple(message for _, message in items), pages.encode([items[-1][0]], *scope) if more else None)

    def rename(self, user: str, conversation_id: str, title: str) -> Conversation:
        """See ConversationStore."""
        with self._connections.writing("rename") as connection:
            _existing(connection, user, conversation_id)
            connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (storable(title), conversation_id))
            return _existing(connection, user, conversation_id)

    def delete(self, user: str, conversation_id: str) -> None:
        """See ConversationStore."""
        with self._connections.writing("delete") as connection:
            _existing(connection, user, conversation_id)
            connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))

    def fork(self, user: str, conversation_id: str, message_id: str) -> Conversation:
        """See ConversationStore."""
        with self._connections.writing("fork") as connection:
            source = _existing(connection, user, conversation_id)
            last = connection.execute(
                "SELECT sequence FROM messages WHERE conversation = ? AND id = ?", (conversation_id, storable(message_id))
            ).fetchone()
            if last is None:
                raise no_such_message(conversation_id, message_id)
            now, (count,) = self._clock(), last
            title = title_of_fork(source.title)
            fork = replace(source, id=uuid.uuid4().hex, title=title, created=now, updated=now, message_count=count)
            connection.execute(_COPY_MESSAGES, (fork.id, conversation_id, count))
            return _put(connection, fork)

    def progress(self, user: str, agent: str) -> Progress:
        """See ConversationStore."""
        with self._connections.reading("progress") as connection:
            return _progress(connection, user, agent)

    def save_progress(self, user: str, agent: str, step: int, answers: Mapping[str, str]) -> bool:
        """See ConversationStore."""
        wanted = Progress(agent, step + 1, dict(answers))
        with self._connections.writing("save_progress") as connection:
            held = _progress(connection, user, agent)
            if held.step == step:
                texts = (storable(user), storable(agent), wanted.step, json.dumps(wanted.answers))
                connection.execute(_PUT_PROGRESS, texts)
                return True
            return held == wanted

    def reset_progress(self, user: str, agent: str) -> None:
        """See ConversationStore."""
        with self._connections.writing("reset_progress") as connection:
            connection.execute("DELETE FROM progress WHERE user = ? AND agent = ?", (storable(user), storable(agent)))

    def close(self) -> None:
        """See ConversationStore."""
        self._connections.close()


def _find(connection: sqlite3.Connection, user: str, conversation_id: str) -> Conversation | None:
    row = connection.execute("SELECT * FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    if row is None:
        return None
    conversation = _conversation(row)
    if conversation.user != user:
        raise no_such_conversation(conversation_id)
    return conversation


def _existing(connection: sqlite3.Connection, user: str, conversation_id: str) -> Conversation:
    conversation = _find(connection, user, conversation_id)
    if conversation is None:
        raise no_such_conversation(conversation_id)
    return conversation


def _put(connection: sqlite3.Connection, conversation: Conversation) -> Conversation:
    connection.execute(_PUT_CONVERSATION, {name: storable(value) for name, value in asdict(conversation).items()})
    return conversation


def _parameters(conversation_id: str, sequence: int, message: Message) -> dict[str, Any]:
    values = {name: storable(value) for name, value in asdict(message).items()}
    usage = None if message.usage is None else json.dumps(message.usage)
    return {**values, "usage": usage, "conversation": conversation_id, "sequence": sequence}


def _conversation(row: sqlite3.Row) -> Conversation:
    return Conversation(**{name: original(row[name]) for name in row.keys()})  # noqa: SIM118 - a Row iterates its values


def _message(row: sqlite3.Row) -> Message:
    values = {name: original(row[name]) for name in row.keys()}  # noqa: SIM118 - a Row iterates its values
    del values["conversation"], values["sequence"]
    usage = values.pop("usage")
    return Message(**values, usage=None if usage is None else json.loads(usage))


def _progress(connection: sqlite3.Connection, user: str, agent: str) -> Progress:
    row = connection.execute(
        "SELECT step, answers FROM progress WHERE user = ? AND agent = ?", (storable(user), storable(agent))
    ).fetchone()
    return Progress(agent) if row is None else Progress(agent, row["step"], json.loads(row["answers"]))
