"""What the routes answer, as /openapi.json describes it.

Nothing is made from these: the routes write their JSON themselves, and a test holds it against them.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Usage = dict[str, Any]


class Reply(BaseModel):
    """Only what is listed."""

    model_config = ConfigDict(extra="forbid")


class ErrorFacts(Reply):
    """What happened (`message`), why (`reason`), what to do (`action`)."""

    message: str
    type: str
    param: str | None
    code: str
    reason: str
    action: str
    retryable: bool
    correlation_id: str


class OpenAIError(Reply):
    """OpenAI's error object, with Sluice's additions."""

    error: ErrorFacts


class SimpleError(Reply):
    """What happened (`error`); why, and what to do (`detail`)."""

    error: str
    detail: str
    correlation_id: str
    code: str


class Features(Reply):
    """What can be switched off."""

    streaming: bool


class Health(Reply):
    """That the service answers."""

    status: Literal["healthy"]
    timestamp: datetime
    version: str
    features: Features


class Model(Reply):
    """An agent, as OpenAI's model object. `onboarding_steps` is how many questions it asks first."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    name: str
    description: str
    onboarding_steps: int


class ModelList(Reply):
    """The agents that the key may use."""

    object: Literal["list"]
    data: list[Model]


class StoredAt(Reply):
    """Sluice's addition: the first two for an answer that was to be stored, the last three from an onboarding agent."""

    conversation_id: str = ""
    persisted: bool = False
    step: int = 0
    total: int = 0
    done: bool = False


class CompletionReply(Reply):
    """OpenAI's chat.completion object."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: Usage | None = None
    sluice: StoredAt | None = None


class ChatReply(Reply):
    """A whole answer of the simple API; the last three are an onboarding agent's."""

    content: str
    correlation_id: str
    status: Literal["complete"]
    duration_ms: Annotated[int, Field(ge=0)]
    total_tokens: int | None
    usage: Usage | None
    conversation_id: str | None
    persisted: bool
    step: int = 0
    total: int = 0
    done: bool = False


class StreamReply(Reply):
    """How a stream stands after it was to be cancelled."""

    id: str
    object: Literal["stream"]
    status: Literal["running", "finished", "cancelled", "failed"]


class TicketReply(Reply):
    """What a browser opens an EventSource with; seconds."""

    ticket: str
    expires_in: int


class ConversationReply(Reply):
    """A conversation without its messages. Times are seconds since the epoch."""

    object: Literal["conversation"]
    id: str
    agent: str
    title: str
    created: float
    updated: float
    message_count: int


class MessageReply(Reply):
    """One message of a conversation."""

    object: Literal["message"]
    id: str
    role: str
    content: str
    created: float
    status: Literal["complete", "partial", "failed"]
    usage: Usage | None
    finish_reason: str | None
    stream_id: str | None
    time_to_first_token_ms: float | None
    generation_ms: float | None


class ConversationPage(Reply):
    """Some conversations, last updated first; `next_cursor` asks for those that follow."""

    object: Literal["list"]
    data: list[ConversationReply]
    next_cursor: str | None


class MessagePage(Reply):
    """Some messages, oldest first; `next_cursor` asks for those that follow."""

    object: Literal["list"]
    data: list[MessageReply]
    next_cursor: str | None


class ConversationWithMessages(ConversationReply):
    """A conversation with a page of its messages."""

    messages: MessagePage


class OnboardingReply(Reply):
    """Where the caller stands with an agent's questions."""

    agent: str
    step: int
    total: int
    done: bool
    question: str | None
    answers: dict[str, str]
