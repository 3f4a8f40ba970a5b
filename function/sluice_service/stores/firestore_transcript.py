"""One conversation's documents, within one operation: its own, its messages' and the pieces of long ones."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from google.cloud.firestore import CollectionReference, DocumentReference, LastUpdateOption, WriteBatch

from sluice_service.stores import firestore_documents as documents
from sluice_service.stores import pages
from sluice_service.stores.base import PAGE_CHARACTERS, Conversation, Message, no_such_conversation
from sluice_service.stores.firestore_calls import Calls, Snapshot

DELETED_AT_ONCE = 400
"""A commit of 500 writes was Firestore's limit for long; larger ones gain nothing."""

Numbered = tuple[int, Message]
"""A message with its sequence number: 1 for a conversation's first."""


class Transcript:
    """Reads and writes through `calls`; what must agree is read at one `read_time`."""

    def __init__(self, calls: Calls, conversation_id: str) -> None:
        self._calls = calls
        self._id = conversation_id
        self.document: DocumentReference = calls.client.collection(documents.CONVERSATIONS).document(
            documents.document_id(conversation_id)
        )
        self.messages: CollectionReference = self.document.collection(documents.MESSAGES)

    def snapshot(self) -> Snapshot:
        """The conversation's own document as it is now."""
        return self._calls.documents([self.document])[self.document.path]

    def existing(self, user: str) -> tuple[Conversation, Snapshot]:
        """The conversation and its document. Raises `not_found`."""
        snapshot = self.snapshot()
        conversation = self.owned(snapshot, user)
        if conversation is None:
            raise no_such_conversation(self._id)
        return conversation, snapshot

    def owned(self, snapshot: Snapshot, user: str) -> Conversation | None:
        """The conversation in its document, None when there is none. Raises `not_found` for another's, or a deleted one."""
        fields = snapshot.to_dict()
        if fields is None:
            return None
        conversation = documents.conversation_of(fields)
        if conversation.user != user or fields.get("deleting"):
            raise no_such_conversation(self._id)
        return conversation

    def message(self, message_id: str) -> DocumentReference:
        """Where a message is."""
        return self.messages.document(documents.document_id(message_id))

    def page(self, after: int, limit: int, read_time: datetime) -> tuple[list[Numbered], bool]:
        """The messages after a sequence number that fit a page, and whether there are more."""
        query = self.messages.order_by("sequence").start_after({"sequence": after}).limit(limit + 1)
        rows, more = pages.taken(self._calls.stream(query, read_time), limit, PAGE_CHARACTERS, characters)
        return self.whole(rows, read_time), more

    def whole(self, rows: Sequence[Snapshot], read_time: datetime) -> list[Numbered]:
        """The messages in these documents, with all their pieces."""
        pieces = {row.id: [self._piece(row.id, number) for number in range(1, row.get("pieces") + 1)] for row in rows}
        wanted = [piece for of_message in pieces.values() for piece in of_message]
        found = self._calls.documents(wanted, read_time=read_time) if wanted else {}
        return [
            (
                row.get("sequence"),
                documents.message_of(_fields(row), [found[piece.path].get("text") for piece in pieces[row.id]]),
            )
            for row in rows
        ]

    def put(self, batch: WriteBatch, messages: Iterable[Message], count: int, held: Mapping[str, Snapshot]) -> int:
        """Write the messages, `count` being there so far and `held` the documents of those with the same ids, by path.

        How many there are then. Of two with the same id the last one is written, in the first one's place.
        """
        for message in {message.id: message for message in messages}.values():
            before = _fields(held[self.message(message.id).path])
            if before.get("status") == "complete" and message.status == "partial":
                continue
            sequence = before.get("sequence", count + 1)
            self.write(batch, sequence, message, before.get("pieces", 0))
            count = max(count, sequence)
        return count

    def write(self, batch: WriteBatch, sequence: int, message: Message, pieces_before: int = 0) -> None:
        """Write one message in its place."""
        reference = self.message(message.id)
        batch.set(reference, documents.message_fields(sequence, message))
        pieces = list(documents.further_pieces(message))
        for number, text in enumerate(pieces, 1):
            batch.set(self._piece(reference.id, number), {"text": text})
        for number in range(len(pieces) + 1, pieces_before + 1):
            batch.delete(self._piece(reference.id, number))

    def hide(self, user: str) -> None:
        """Begin to delete, or go on with a deletion that broke off. Raises `not_found`."""
        snapshot = self.snapshot()
        fields = snapshot.to_dict()
        if fields is None or documents.conversation_of(fields).user != user:
            raise no_such_conversation(self._id)
        batch = self._calls.client.batch()
        put_unless_changed(batch, snapshot, {"deleting": True, "listed": None})
        self._calls.commit(batch)

    def empty(self) -> bool:
        """Delete some of what a hidden conversation holds, and its document with the last; whether there is more."""
        snapshot = self.snapshot()
        if not _fields(snapshot).get("deleting"):
            return False
        batch = self._calls.client.batch()
        found = [*self._some(documents.PIECES), *self._some(documents.MESSAGES)]
        for reference in found:
            batch.delete(reference)
        # In the same commit: whoever has the id by now, after another deletion, keeps what is theirs.
        if found:
            put_unless_changed(batch, snapshot, {"deleting": True})
        else:
            batch.delete(self.document, option=unchanged(snapshot))
        self._calls.commit(batch)
        return bool(found)

    def _some(self, collection: str) -> list[DocumentReference]:
        query = self.document.collection(collection).select(["__name__"]).limit(DELETED_AT_ONCE // 2)
        return [row.reference for row in self._calls.stream(query)]

    def _piece(self, message_document: str, number: int) -> DocumentReference:
        piece: DocumentReference = self.document.collection(documents.PIECES).document(f"{message_document}.{number}")
        return piece


def characters(row: Snapshot) -> int:
    """How long the content of a message is, all pieces together."""
    return int(row.get("characters"))


def put_unless_changed(batch: WriteBatch, snapshot: Snapshot, fields: Mapping[str, Any]) -> None:
    """Write fields of a document, on condition that it is as it was read."""
    if snapshot.exists:
        batch.update(snapshot.reference, dict(fields), option=unchanged(snapshot))
    else:
        batch.create(snapshot.reference, dict(fields))


def unchanged(snapshot: Snapshot) -> LastUpdateOption:
    """The condition that a document is as it was read."""
    return LastUpdateOption(snapshot.update_time)


def _fields(snapshot: Snapshot) -> dict[str, Any]:
    return snapshot.to_dict() or {}
