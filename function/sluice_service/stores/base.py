"""The seam to storage: what is kept, and what every store can do with it.

Times are seconds since the epoch (UTC), as in OpenAI's API. Texts may hold any character, NUL and lone surrogates
included, and come back as they were.

Every method of a store can raise SluiceError: `storage_unavailable` when the store cannot answer in time, `not_found` for
what does not exist or belongs to another user, which nobody can tell apart. Nothing else.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from sluice_wire.errors import SluiceError

Status = Literal["complete", "partial", "failed"]

Clock = Callable[[], float]
"""Seconds since the epoch."""

MAX_APPEND_BYTES = 3 << 20
"""The most text, in UTF-8, that one `append` takes: Firestore's emulator accepts 4 MiB in one commit, the service 10.
No model reads or writes as much in one message."""

PAGE_CHARACTERS = 750_000
"""The most text in one page of messages, 3 MB at worst; a longer message makes a page of its own."""

MAX_TITLE_CHARACTERS = 200

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation. `id` names it within the conversation: any text of 1 to 128 characters."""

    id: str
    role: str
    content: str
    created: float
    status: Status = "complete"
    usage: Mapping[str, Any] | None = None
    """OpenAI's usage object, as upstream sent it."""
    finish_reason: str | None = None
    stream_id: str | None = None
    time_to_first_token_ms: float | None = None
    generation_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation without its messages. `agent` and `title` are those of its first turn until it is renamed."""

    id: str
    user: str
    agent: str
    title: str
    created: float
    updated: float
    """When a message was added or replaced last."""
    message_count: int


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some of the items; `next_cursor` asks for those that follow, None when there are no more."""

    items: tuple[Item, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a user stands in an agent's onboarding: how many steps are done, and the answers by the steps' keys."""

    agent: str
    step: int = 0
    answers: Mapping[str, str] = field(default_factory=dict)


class ConversationStore(Protocol):
    """Conversations and progress. All methods may be called from many threads at once.

    Conversation ids are 1 to 128 visible ASCII characters, checked by the caller. `limit` is at least 1.
    """

    def append(
        self, user: str, conversation_id: str, agent: str, messages: Sequence[Message], title: str | None
    ) -> Conversation:
        """Add messages at the end, all or none, in this order; the conversation as it then is.

        Creates the conversation when nobody has the id; not with None as title, so that an answer cannot bring back a
        conversation that was deleted while the model wrote it. A message whose id is there already replaces that one in
        its place: saving again doubles nothing, and `partial` can become `complete`, never the reverse. Raises `not_found`
        for another user's conversation, or one that had to exist, and `request_too_large` for more than MAX_APPEND_BYTES.
        """
        ...

    def recent(self, user: str, conversation_id: str, max_messages: int, max_characters: int) -> list[Message]:
        """The last messages, oldest first: as many in a row as fit both bounds. None of an unknown conversation.

        Raises `not_found` for another user's.
        """
        ...

    def conversations(self, user: str, limit: int, cursor: str | None = None) -> Page[Conversation]:
        """The user's conversations, last updated first. Raises `invalid_request` for a cursor that is not this list's."""
        ...

    def conversation(self, user: str, conversation_id: str) -> Conversation:
        """One conversation."""
        ...

    def messages(self, user: str, conversation_id: str, limit: int, cursor: str | None = None) -> Page[Message]:
        """A conversation's messages, oldest first; a page ends before `limit` when its text reaches PAGE_CHARACTERS.

        Raises `invalid_request` for a cursor that is not this conversation's.
        """
        ...

    def rename(self, user: str, conversation_id: str, title: str) -> Conversation:
        """Give it another title."""
        ...

    def delete(self, user: str, conversation_id: str) -> None:
        """Remove it with all its messages. Gone for readers at once; what breaks off can be called again."""
        ...

    def fork(self, user: str, conversation_id: str, message_id: str) -> Conversation:
        """A new conversation, with a new id, that holds the messages up to and including this one."""
        ...

    def progress(self, user: str, agent: str) -> Progress:
        """Where the user stands; step 0 for one who has not begun."""
        ...

    def save_progress(self, user: str, agent: str, step: int, answers: Mapping[str, str]) -> bool:
        """Move from `step` to the next one and keep these answers instead of those before.

        Whether the store now holds exactly this: False when another turn has moved on from `step`, and then nothing is
        changed. Saving the same again is True.
        """
        ...

    def reset_progress(self, user: str, agent: str) -> None:
        """Start again at step 0, without answers."""
        ...

    def close(self) -> None:
        """Give back connections and files. Every later call raises `storage_unavailable`."""
        ...


def require_appendable(messages: Sequence[Message]) -> None:
    """Raises `request_too_large`."""
    size = sum(len(message.content.encode("utf-8", "surrogatepass")) for message in messages)
    if size > MAX_APPEND_BYTES:
        raise SluiceError("request_too_large", param="messages", limit_bytes=MAX_APPEND_BYTES)


def no_such_conversation(conversation_id: str) -> SluiceError:
    """`not_found`, for one that does not exist and for another user's alike."""
    return SluiceError("not_found", path=f"/v1/conversations/{conversation_id}")


def no_such_message(conversation_id: str, message_id: str) -> SluiceError:
    """`not_found`, for a message that the conversation does not hold."""
    return SluiceError("not_found", path=f"message {message_id} of /v1/conversations/{conversation_id}")


def title_of_fork(title: str) -> str:
    """The title with a number that tells the fork from its source: `Tides (2)`, and of that one `Tides (3)`."""
    numbered = re.fullmatch(r"(.*) \((\d{1,3})\)", title, re.DOTALL)
    stem, number = (numbered[1], int(numbered[2]) + 1) if numbered else (title, 2)
    return f"{stem[: MAX_TITLE_CHARACTERS - len(f' ({number})')]} ({number})"


def begun(user: str, conversation_id: str, agent: str, title: str | None, now: float) -> Conversation:
    """A new conversation, still empty. Raises `not_found` when it has no title, and so had to exist."""
    if title is None:
        raise no_such_conversation(conversation_id)
    return Conversation(id=conversation_id, user=user, agent=agent, title=title, created=now, updated=now, message_count=0)
