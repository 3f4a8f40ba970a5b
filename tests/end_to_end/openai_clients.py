"""openai-python's two clients behind one face, so that each test runs with both."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.model import Model

from tests.support.running_function import RunningFunction

QUESTION: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Received:
    """A stream as far as it came, and the error that ended it."""

    chunks: list[ChatCompletionChunk] = field(default_factory=list)
    error: openai.APIError | None = None

    @property
    def text(self) -> str:
        return "".join(choice.delta.content or "" for chunk in self.chunks for choice in chunk.choices)

    @property
    def finish_reasons(self) -> list[str]:
        return [choice.finish_reason for chunk in self.chunks for choice in chunk.choices if choice.finish_reason]


class Client(Protocol):
    """What the tests ask of openai-python."""

    def plain(self, **body: Any) -> ChatCompletion: ...
    def stream(self, **body: Any) -> Received: ...
    def models(self) -> list[str]: ...
    def model(self, agent_id: str) -> Model: ...


MakeClient = Callable[..., Client]


def _options(function: RunningFunction, key: str | None, max_retries: int) -> dict[str, Any]:
    return {
        "base_url": f"{function.url}/v1",
        "api_key": key or function.key,
        "max_retries": max_retries,
        "timeout": 20,
    }


class SyncClient:
    def __init__(self, function: RunningFunction, key: str | None = None, max_retries: int = 0) -> None:
        self._options = _options(function, key, max_retries)

    def plain(self, **body: Any) -> ChatCompletion:
        with openai.OpenAI(**self._options) as client:
            completion: ChatCompletion = client.chat.completions.create(**{**QUESTION, **body})
        return completion

    def stream(self, **body: Any) -> Received:
        received = Received()
        with openai.OpenAI(**self._options) as client:
            try:
                for chunk in client.chat.completions.create(**{**QUESTION, **body, "stream": True}):
                    received.chunks.append(chunk)
            except openai.APIError as error:
                received.error = error
        return received

    def models(self) -> list[str]:
        with openai.OpenAI(**self._options) as client:
            return [model.id for model in client.models.list()]

    def model(self, agent_id: str) -> Model:
        with openai.OpenAI(**self._options) as client:
            return client.models.retrieve(agent_id)


class AsyncClient:
    def __init__(self, function: RunningFunction, key: str | None = None, max_retries: int = 0) -> None:
        self._options = _options(function, key, max_retries)

    def plain(self, **body: Any) -> ChatCompletion:
        async def ask() -> ChatCompletion:
            async with openai.AsyncOpenAI(**self._options) as client:
                completion: ChatCompletion = await client.chat.completions.create(**{**QUESTION, **body})
            return completion

        return asyncio.run(ask())

    def stream(self, **body: Any) -> Received:
        async def ask() -> Received:
            async with openai.AsyncOpenAI(**self._options) as client:
                return await stream_with(client, **body)

        return asyncio.run(ask())

    def models(self) -> list[str]:
        async def ask() -> list[str]:
            async with openai.AsyncOpenAI(**self._options) as client:
                return [model.id async for model in client.models.list()]

        return asyncio.run(ask())

    def model(self, agent_id: str) -> Model:
        async def ask() -> Model:
            async with openai.AsyncOpenAI(**self._options) as client:
                return await client.models.retrieve(agent_id)

        return asyncio.run(ask())


async def stream_with(client: openai.AsyncOpenAI, **body: Any) -> Received:
    """One stream of a client that may have others open."""
    received = Received()
    try:
        async for chunk in await client.chat.completions.create(**{**QUESTION, **body, "stream": True}):
            received.chunks.append(chunk)
    except openai.APIError as error:
        received.error = error
    return received


CLIENTS: list[MakeClient] = [SyncClient, AsyncClient]
