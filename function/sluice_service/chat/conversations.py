"""Stored conversations, as a turn needs them: what came before, and where its question and its answer go."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sluice_service.chat import onboarding
from sluice_service.chat.agents import Agent
from sluice_service.chat.saving import Saver
from sluice_service.generation.record import Record, Saved
from sluice_service.stores.base import ConversationStore, Message, Progress, Status

TITLE_CHARACTERS = 60
MAX_HISTORY_MESSAGES = 100
MAX_HISTORY_CHARACTERS = 60_000
"""About 15,000 tokens: the newest messages that fit are the context of the next turn."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """That a turn shall be stored. `turn_id` names it: of two with one id the second replaces the first.

    `with_history`: the stored messages are the context; otherwise the caller sends it.
    """

    conversation_id: str
    turn_id: str
    with_history: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a turn begins with: messages to put before the caller's own, and who keeps its answer."""

    context: Sequence[Mapping[str, Any]]
    keeper: "AnswerKeeper | None"


class Conversations:
    """What `Chat` asks of the store; called on requests' threads, where the store's own deadlines bound the waiting."""

    def __init__(self, store: ConversationStore, saver: Saver) -> None:
        self._store = store
        self._saver = saver

    def prepare(self, user: str, agent: Agent, question: str, wanted: Wanted | None, stream_id: str) -> Prepared:
        """Read what came before, store the question, and say who keeps the answer.

        Raises `storage_unavailable`, and `not_found` for another user's conversation: before the model is called.
        """
        progress = self._store.progress(user, agent.id) if agent.onboarding else Progress(agent.id)
        context = list(onboarding.prompt(agent, progress))
        if wanted is None and not agent.onboarding:
            return Prepared(context, None)
        if wanted is not None:
            if wanted.with_history:
                context += self._history(user, wanted)
            asked = _message(f"{wanted.turn_id}.question", "user", question)
            self._store.append(user, wanted.conversation_id, agent.id, [asked], title_of(question))
        advanced = None if onboarding.is_done(agent, progress) else onboarding.answered(agent, progress, question)
        keeper = AnswerKeeper(self._store, self._saver, user, agent, wanted, stream_id, advanced)
        return Prepared(context, keeper)

    def _history(self, user: str, wanted: Wanted) -> list[Mapping[str, Any]]:
        messages = self._store.recent(user, wanted.conversation_id, MAX_HISTORY_MESSAGES, MAX_HISTORY_CHARACTERS)
        # A turn that is asked again after a failure has its question there already, and what there was of the answer.
        before = [message for message in messages if message.content and not message.id.startswith(f"{wanted.turn_id}.")]
        return [{"role": message.role, "content": message.content} for message in before]


@dataclass(frozen=True, slots=True)
class AnswerKeeper:
    """Keeps one answer, and an onboarding agent's progress with it."""

    store: ConversationStore
    saver: Saver
    user: str
    agent: Agent
    wanted: Wanted | None
    stream_id: str
    advanced: Progress | None

    async def finished(self, record: Record) -> Saved:
        """Store the answer and move on; within the saver's bound."""
        reached: list[Progress] = []

        def keep() -> None:
            if self.advanced is not None:
                reached.append(self._advance(self.advanced))
            self._keep(record, "complete")

        saved = await self.saver.save(keep, what=f"The answer of {self.stream_id}", size_bytes=record.received_bytes)
        conversation_id = self.wanted.conversation_id if self.wanted else None
        progress = onboarding.standing(self.agent, reached[-1]) if reached else None
        return Saved(conversation_id, saved, progress)

    def interrupted(self, record: Record) -> None:
        """Store what there is; an onboarding does not move on."""
        if self.wanted is not None:
            what = f"What there is of {self.stream_id}"
            self.saver.save_later(lambda: self._keep(record, "partial"), what=what, size_bytes=record.received_bytes)

    def _keep(self, record: Record, status: Status) -> None:
        if self.wanted is not None:
            answer = replace(
                _message(f"{self.wanted.turn_id}.answer", "assistant", record.text),
                status=status,
                usage=record.usage,
                finish_reason=next(iter(record.finish_reasons), None),
                stream_id=self.stream_id,
                time_to_first_token_ms=record.milliseconds_to(record.first_token),
                generation_ms=record.milliseconds_to(record.last_event),
            )
            # Without a title: a conversation that was deleted meanwhile does not come back for its answer.
            self.store.append(self.user, self.wanted.conversation_id, self.agent.id, [answer], None)

    def _advance(self, advanced: Progress) -> Progress:
        """Move on; where the user stands then, which is elsewhere when another turn has answered the same question."""
        if self.store.save_progress(self.user, self.agent.id, advanced.step - 1, advanced.answers):
            return advanced
        return self.store.progress(self.user, self.agent.id)


def new_conversation_id() -> str:
    """An id that nobody has."""
    return uuid.uuid4().hex


def title_of(question: str) -> str:
    """A conversation's title: the beginning of its first message, on one line."""
    line = " ".join(question.split())
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1].rstrip() + "…"


def _message(message_id: str, role: str, content: str) -> Message:
    return Message(id=message_id, role=role, content=content, created=time.time())
