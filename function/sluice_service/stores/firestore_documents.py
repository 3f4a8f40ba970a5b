"""How conversations, messages and progress look as Firestore documents.

    sluice_conversations/{conversation}                    one for each conversation
    sluice_conversations/{conversation}/messages/{message} one for each message
    sluice_conversations/{conversation}/pieces/{message}.N what does not fit into the message's own document (1 MiB)
    sluice_progress/{user and agent}                       one for each onboarding

Only single-field indexes are used, which Firestore makes by itself: the list of a user's conversations is a range of the
field `listed`, which holds the user, the time of the last change and the id, in this order.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from sluice_service.stores.base import Conversation, Message, Progress
from sluice_service.stores.texts import original, storable

Fields = dict[str, Any]

CONVERSATIONS = "sluice_conversations"
MESSAGES = "messages"
PIECES = "pieces"
PROGRESS = "sluice_progress"

PIECE_CHARACTERS = 250_000
"""At most 1,000,000 bytes of UTF-8, which leaves 48,576 of a document's 1 MiB to its name and other fields."""

LONGEST_READABLE_ID = 1000

CONVERSATION_FIELDS = ("id", "user", "agent", "title", "created", "updated", "message_count")
MESSAGE_FIELDS = tuple(field.name for field in dataclasses.fields(Message))


def document_id(text: str) -> str:
    """Any text as the id of a document, each its own: at most 1,500 bytes, no slash, not `.`, `..` or `__…__`.

    See "Constraints on document IDs" in Firestore's documentation, "Usage and limits".
    """
    encoded = text.encode("utf-8", "surrogatepass")
    readable = quote(encoded, safe="")
    return f"-{readable}" if len(readable) <= LONGEST_READABLE_ID else f"={hashlib.sha256(encoded).hexdigest()}"


def progress_id(user: str, agent: str) -> str:
    """The id of the document that tells where a user stands with an agent."""
    return _digest(json.dumps([user, agent]))


def listed(user: str, updated: float | None = None, conversation_id: str = "") -> str:
    """A conversation's place in its user's list; without the time, the place after all of that user's."""
    if updated is None:
        return f"{_digest(json.dumps([user]))}}}"  # "}" follows "|" in ASCII
    return f"{_digest(json.dumps([user]))}|{int(updated * 1e6):020d}|{conversation_id}"


def listed_first(user: str) -> str:
    """The place before all of a user's conversations."""
    return f"{_digest(json.dumps([user]))}|"


def conversation_fields(conversation: Conversation) -> Fields:
    """The document of a conversation."""
    place = listed(conversation.user, conversation.updated, conversation.id)
    return {**_storable(dataclasses.asdict(conversation)), "listed": place}


def conversation_of(fields: Mapping[str, Any]) -> Conversation:
    """The conversation in a document."""
    return Conversation(**{name: original(fields[name]) for name in CONVERSATION_FIELDS})


def message_fields(sequence: int, message: Message) -> Fields:
    """The document of a message, with the first piece of its content."""
    usage = None if message.usage is None else json.dumps(message.usage)
    content = message.content[:PIECE_CHARACTERS]
    count, size = len(list(further_pieces(message))), len(message.content)
    values = {**dataclasses.asdict(message), "usage": usage, "content": content}
    return {**_storable(values), "sequence": sequence, "pieces": count, "characters": size}


def further_pieces(message: Message) -> Iterator[Any]:
    """The rest of a message's content, in pieces that are documents of their own."""
    for start in range(PIECE_CHARACTERS, len(message.content), PIECE_CHARACTERS):
        yield storable(message.content[start : start + PIECE_CHARACTERS])


def message_of(fields: Mapping[str, Any], pieces: Iterable[Any]) -> Message:
    """The message in a document, with the further pieces of its content. Other fields, of others, are none of it."""
    values = {name: original(fields[name]) for name in MESSAGE_FIELDS if name in fields}
    usage = values.pop("usage")
    content = "".join([values.pop("content"), *map(original, pieces)])
    return Message(**values, content=content, usage=None if usage is None else json.loads(usage))


def progress_fields(user: str, progress: Progress) -> Fields:
    """The document of a user's progress."""
    return _storable({"user": user, **dataclasses.asdict(progress), "answers": json.dumps(progress.answers)})


def progress_of(agent: str, fields: Mapping[str, Any] | None) -> Progress:
    """The progress in a document; none was made when there is no document."""
    return Progress(agent) if fields is None else Progress(agent, fields["step"], json.loads(fields["answers"]))


def _storable(values: Mapping[str, Any]) -> Fields:
    return {name: storable(value) for name, value in values.items()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
