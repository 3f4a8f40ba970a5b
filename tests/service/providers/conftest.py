"""A provider over a real socket, and the upstream at its other end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import uvloop

from sluice_service.chat.chunking import split
from sluice_service.providers.openai_api import OpenAIProvider
from tests.support.scripted_upstream import ScriptedUpstream

KEY = "sk-test-0123456789abcdef"

MakeProvider = Callable[..., OpenAIProvider]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that the pump has."""
    return {"uvloop": uvloop.new_event_loop}


def make(base_url: str, **more: Any) -> OpenAIProvider:
    given: dict[str, Any] = {"name": "up", "api_key": KEY, "split": partial(split, smallest=4, largest=12), **more}
    return OpenAIProvider(base_url=base_url, **given)


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream()
    yield upstream
    upstream.close()


@pytest.fixture
async def make_provider() -> AsyncIterator[MakeProvider]:
    """Makes providers that are closed when the test ends."""
    made: list[OpenAIProvider] = []

    def make_one(base_url: str, **more: Any) -> OpenAIProvider:
        made.append(make(base_url, **more))
        return made[-1]

    yield make_one
    for provider in made:
        await provider.aclose()


@pytest.fixture
def provider(upstream: ScriptedUpstream, make_provider: MakeProvider) -> OpenAIProvider:
    return make_provider(upstream.url)


class Link:
    """An upstream and a provider that serve all examples of a property, on one event loop."""

    def __init__(self, runner: asyncio.Runner, upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
        self.run = runner.run
        self.upstream = upstream
        self.provider = provider


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    upstream = ScriptedUpstream()
    provider = make(upstream.url)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield Link(runner, upstream, provider)
        runner.run(provider.aclose())
    upstream.close()
