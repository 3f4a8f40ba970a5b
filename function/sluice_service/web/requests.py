"""What the routes accept, checked.

Unknown fields are kept: they are OpenAI's other parameters, which an agent ignores or forwards.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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


class CompletionRequest(BaseModel):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1, max_length=128)]
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


def parse_completion(body: dict[str, Any]) -> CompletionRequest:
    """The request, checked. Raises `invalid_request` that names the first field that is not as it should be."""
    try:
        return CompletionRequest.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        param = _path(problem["loc"])
        raise SluiceError("invalid_request", param=param, problem=f"{param}: {problem['msg']}.") from None


def _path(location: tuple[int | str, ...]) -> str:
    """`("messages", 0, "role")` as OpenAI writes it: `messages[0].role`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")
