"""A stored conversation, as a session to go on with; and the place in the store that a turn of a session has."""

from collections.abc import Sequence

from sluice_tui.conversations import Message, Summary
from sluice_tui.session import Session, Turn, TurnState

_STATES = {"partial": TurnState.CANCELLED, "failed": TurnState.CANCELLED}


def session_of(summary: Summary, messages: Sequence[Message]) -> Session:
    """The session; a question that was never answered is a turn of its own."""
    turns: list[Turn] = []
    question: Message | None = None
    for message in messages:
        if message.role == "user":
            if question:
                turns.append(_turn(question, None, summary.agent))
            question = message
        elif message.role == "assistant" and question:
            turns.append(_turn(question, message, summary.agent))
            question = None
    if question:
        turns.append(_turn(question, None, summary.agent))
    return Session(summary.id, summary.title, turns)


def last_before(turn: Turn, session: Session, messages: Sequence[Message]) -> Message | None:
    """The stored message after which a turn's question came: the end of the newest answer before it that is stored."""
    earlier = {earlier.stream_id for earlier in session.turns[: session.turns.index(turn)] if earlier.stream_id}
    return next((message for message in reversed(messages) if message.stream_id in earlier), None)


def _turn(question: Message, answer: Message | None, agent: str) -> Turn:
    if answer is None:
        turn = Turn.stored(question.content, "", TurnState.CANCELLED)
    else:
        state = _STATES.get(answer.status, TurnState.FINISHED)
        turn = Turn.stored(question.content, answer.content, state, answer.time_to_first_token_ms, answer.generation_ms)
        turn.usage = dict(answer.usage)
        turn.finish_reason = answer.finish_reason or None
        turn.stream_id = answer.stream_id
        turn.persisted = True
    turn.agent = agent
    return turn
