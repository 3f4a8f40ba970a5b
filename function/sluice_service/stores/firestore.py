"""Conversations in Firestore: for instances that come and go. Documents as `firestore_documents` describes them."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from google.cloud.firestore import FieldFilter, Query

from sluice_service.stores import firestore_documents as documents
from sluice_service.stores import pages
from sluice_service.stores.base import (
    Clock,
    Conversation,
    Message,
    Page,
    Progress,
    begun,
    no_such_message,
    require_appendable,
    title_of_fork,
)
from sluice_service.stores.firestore_calls import Calls, Firestore, Snapshot
from sluice_service.stores.firestore_transcript import Numbered, Transcript, characters, put_unless_changed
from sluice_service.stores.texts import storable

DEADLINE_SECONDS = 5.0

COPIED_AT_ONCE = 100
"""Messages in one commit of a fork; their text is bounded as that of a page."""


class FirestoreStore:
    """A ConversationStore in a Firestore database in native mode; the environment's project and `(default)` when None.

    Each operation takes `deadline_seconds` at most, a deletion and a fork each of their commits. Whoever runs it needs
    no index and no rule, only a database and the role roles/datastore.user.
    """

    def __init__(
        self,
        project: str | None = None,
        database: str | None = None,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        clock: Clock = time.time,
    ) -> None:
        self._firestore = Firestore(project, database, deadline_seconds)
        self._clock = clock

    def append(
        self, user: str, conversation_id: str, agent: str, messages: Sequence[Message], title: str | None
    ) -> Conversation:
        """See ConversationStore."""
        require_appendable(messages)

        def change(calls: Calls) -> Conversation:
            now = self._clock()
            transcript = Transcript(calls, conversation_id)
            found = calls.documents(
                [transcript.document, *{transcript.message(message.id) for message in messages}],
                [*documents.CONVERSATION_FIELDS, "deleting", "sequence", "pieces", "status"],
            )
            snapshot = found.pop(transcript.document.path)
            known = transcript.owned(snapshot, user) or begun(user, conversation_id, agent, title, now)
            batch = calls.client.batch()
            count = transcript.put(batch, messages, known.message_count, found)
            conversation = replace(known, updated=now, message_count=count)
            put_unless_changed(batch, snapshot, documents.conversation_fields(conversation))
            calls.commit(batch)
            return conversation

        return self._firestore.run("append", change)

    def recent(self, user: str, conversation_id: str, max_messages: int, max_characters: int) -> list[Message]:
        """See ConversationStore."""

        def read(calls: Calls) -> list[Message]:
            transcript = Transcript(calls, conversation_id)
            snapshot = transcript.snapshot()
            if transcript.owned(snapshot, user) is None:
                return []
            query = transcript.messages.order_by("sequence", direction=Query.DESCENDING).limit(max_messages)
            rows = calls.stream(query, snapshot.read_time)
            newest_first = pages.fitting(rows, max_characters, characters)
            return [message for _, message in transcript.whole(newest_first[::-1], snapshot.read_time)]

        return self._firestore.run("recent", read)

    def conversations(self, user: str, limit: int, cursor: str | None = None) -> Page[Conversation]:
        """See ConversationStore."""
        scope = ("conversations", user)
        before = documents.listed(user, *pages.decode(cursor, [], *scope))

        def read(calls: Calls) -> list[Conversation]:
            query = (
                calls.client.collection(documents.CONVERSATIONS)
                .where(filter=FieldFilter("listed", ">", documents.listed_first(user)))
                .where(filter=FieldFilter("listed", "<", before))
                .order_by("listed", direction=Query.DESCENDING)
                .limit(limit + 1)
            )
            return [documents.conversation_of(snapshot.to_dict() or {}) for snapshot in calls.stream(query)]

        found = self._firestore.run("conversations", read)
        items = found[:limit]
        more = len(found) > limit
        return Page(tuple(items), pages.encode([items[-1].updated, items[-1].id], *scope) if more else None)

    def conversation(self, user: str, conversation_id: str) -> Conversation:
        """See ConversationStore."""
        return self._firestore.run("conversation", lambda calls: Transcript(calls, conversation_id).existing(user)[0])

    def messages(self, user: str, conversation_id: str, limit: int, cursor: str | None = None) -> Page[Message]:
        """See ConversationStore."""
        scope = ("messages", user, conversation_id)
        (after,) = pages.decode(cursor, [0], *scope)

        def read(calls: Calls) -> tuple[list[Numbered], bool]:
            transcript = Transcript(calls, conversation_id)
            _, snapshot = transcript.existing(user)
            return transcript.page(after, limit, snapshot.read_time)

        items, more = self._firestore.run("messages", read)
        return Page(tuple(message for _, message in items), pages.encode([items[-1][0]], *scope) if more else None)

    def rename(self, user: str, conversation_id: str, title: str) -> Conversation:
        """See ConversationStore."""

        def change(calls: Calls) -> Conversation:
            conversation, snapshot = Transcript(calls, conversation_id).existing(user)
            batch = calls.client.batch()
            put_unless_changed(batch, snapshot, {"title": storable(title)})
            calls.commit(batch)
            return replace(conversation, title=title)

        return self._firestore.run("rename", change)

    def delete(self, user: str, conversation_id: str) -> None:
        """See ConversationStore. First it is hidden, then emptied; only then its id is free."""
        self._firestore.run("delete", lambda calls: Transcript(calls, conversation_id).hide(user))
        while self._firestore.run("delete", lambda calls: Transcript(calls, conversation_id).empty()):
            pass

    def fork(self, user: str, conversation_id: str, message_id: str) -> Conversation:
        """See ConversationStore. The messages come first: what breaks off leaves nothing that anybody can see."""
        fork_id = uuid.uuid4().hex

        read_time, source = self._firestore.run("fork", partial(_up_to, user, conversation_id, message_id))
        copied = 0
        while copied < source.message_count:
            limit = min(COPIED_AT_ONCE, source.message_count - copied)
            copied = self._firestore.run("fork", partial(_copy, conversation_id, fork_id, copied, limit, read_time))
        now = self._clock()
        fork = replace(source, id=fork_id, title=title_of_fork(source.title), created=now, updated=now)

        def publish(calls: Calls) -> Conversation:
            batch = calls.client.batch()
            batch.set(Transcript(calls, fork_id).document, documents.conversation_fields(fork))
            calls.commit(batch)
            return fork

        return self._firestore.run("fork", publish)

    def progress(self, user: str, agent: str) -> Progress:
        """See ConversationStore."""

        def read(calls: Calls) -> Progress:
            return documents.progress_of(agent, _progress(calls, user, agent).to_dict())

        return self._firestore.run("progress", read)

    def save_progress(self, user: str, agent: str, step: int, answers: Mapping[str, str]) -> bool:
        """See ConversationStore."""
        wanted = Progress(agent, step + 1, dict(answers))

        def change(calls: Calls) -> bool:
            snapshot = _progress(calls, user, agent)
            held = documents.progress_of(agent, snapshot.to_dict())
            if held.step != step:
                return held == wanted
            batch = calls.client.batch()
            put_unless_changed(batch, snapshot, documents.progress_fields(user, wanted))
            calls.commit(batch)
            return True

        return self._firestore.run("save_progress", change)

    def reset_progress(self, user: str, agent: str) -> None:
        """See ConversationStore."""

        def change(calls: Calls) -> None:
            batch = calls.client.batch()
            batch.delete(_progress(calls, user, agent).reference)
            calls.commit(batch)

        self._firestore.run("reset_progress", change)

    def close(self) -> None:
        """See ConversationStore."""
        self._firestore.close()


def _up_to(user: str, conversation_id: str, message_id: str, calls: Calls) -> tuple[datetime, Conversation]:
    """The conversation as it would be if it ended with this message, and when it was read."""
    transcript = Transcript(calls, conversation_id)
    conversation, snapshot = transcript.existing(user)
    reference = transcript.message(message_id)
    last = calls.documents([reference], ["sequence"], snapshot.read_time)[reference.path]
    if not last.exists:
        raise no_such_message(conversation_id, message_id)
    return snapshot.read_time, replace(conversation, message_count=last.get("sequence"))


def _copy(conversation_id: str, fork_id: str, after: int, limit: int, read_time: datetime, calls: Calls) -> int:
    """Copy some messages into another conversation; the sequence number of the last one."""
    batch = calls.client.batch()
    items, _ = Transcript(calls, conversation_id).page(after, limit, read_time)
    for sequence, message in items:
        Transcript(calls, fork_id).write(batch, sequence, message)
    calls.commit(batch)
    return items[-1][0]


def _progress(calls: Calls, user: str, agent: str) -> Snapshot:
    reference = calls.client.collection(documents.PROGRESS).document(documents.progress_id(user, agent))
    return calls.documents([reference])[reference.path]
