"""What the routes accept, checked.

Unknown fields are kept: they are OpenAI's other parameters, which an agent ignores or forwards.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice_service.stores.base import MAX_TITLE_CHARACTERS
from sluice_wire.errors import SluiceError

OURS = frozenset({"model", "messages", "stream", "stream_options", "store", "metadata", "user"})
"""Fields that say something to Sluice and are not forwarded. `user` would name our callers to the provider."""


class Message(BaseModel):
    """One message, as far as it must be right; it is passed on unchanged (OpenAI reference, "Create chat completion")."""

    model_config = ConfigDict(extra="allow", strict=True)

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Any] | None = None


class StreamOptions(BaseModel):
    """What a stream shall carry besides its chunks."""

    model_config = ConfigDict(extra="allow", strict=True)

    include_usage: bool = False


CONVERSATION_ID = r"^[A-Za-z0-9_-][A-Za-z0-9_.:@~=+-]{0,127}$"
"""What stands in an address as it is, as one segment."""

ConversationId = Annotated[str, Field(pattern=CONVERSATION_ID)]
ChatMessage = Annotated[str, Field(min_length=1, max_length=8000)]


class StoredWith(BaseModel):
    """OpenAI's `metadata`, as far as it says something to Sluice."""

    model_config = ConfigDict(extra="allow", strict=True)

    conversation_id: ConversationId | None = None


class CompletionRequest(BaseModel):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1, max_length=128)]
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    store: bool | None = None
    metadata: StoredWith | None = None

    @property
    def conversation_id(self) -> str | None:
        """Where the turn shall be stored, when `store` asks for it; None for a new conversation."""
        return self.metadata.conversation_id if self.metadata is not None else None

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(BaseModel):
    """The body of `POST /chat`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: ChatMessage
    model: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    conversation_id: ConversationId | None = None
    stream: bool = True


class EventQuery(BaseModel):
    """What stands in the address of the EventSource routes, the ticket apart."""

    model_config = ConfigDict(extra="ignore")

    message: ChatMessage | None = None
    model: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    conversation_id: ConversationId | None = None


class TicketRequest(BaseModel):
    """The body of `POST /v1/tickets`. A ticket may carry the message, since request logs record addresses.

    `turn` names the turn: one that is asked again under its name replaces what is stored of it, and adds nothing.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    route: Literal["/chat/stream", "/chat/onboarding-stream"]
    message: ChatMessage | None = None
    turn: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None


class RenameRequest(BaseModel):
    """The body of `PATCH /v1/conversations/{id}`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARACTERS)]


class ForkRequest(BaseModel):
    """The body of `POST /v1/conversations/{id}/fork`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message_id: Annotated[str, Field(min_length=1, max_length=128)]


class PageQuery(BaseModel):
    """Which page of a list; `cursor` is the `next_cursor` of the page before."""

    model_config = ConfigDict(extra="ignore")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=1024)] | None = None


class CursorQuery(BaseModel):
    """Where a stream goes on: the number of the last frame that was received."""

    starting_after: Annotated[int, Field(ge=0, lt=10**18)] = 0


Request = TypeVar("Request", bound=BaseModel)


def parse(model: type[Request], given: Mapping[str, Any]) -> Request:
    """The request, checked. Raises `invalid_request` that names the first field that is not as it should be."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        param = _path(problem["loc"])
        raise SluiceError("invalid_request", param=param, problem=f"{param}: {problem['msg']}.") from None


def _path(location: tuple[int | str, ...]) -> str:
    """`("messages", 0, "role")` as OpenAI writes it: `messages[0].role`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")
