"""The client of an API where all goes well, and the addresses and keys that it takes."""

import pytest

from sluice_tui.addresses import base_url
from sluice_tui.agents import Agent
from sluice_tui.api import Api, Asked, Endpoint
from tests.tui.asking import KEY, ask
from tests.tui.fake_openai import HANG, FakeOpenAI, chunk, whole


async def test_models_are_listed_with_what_sluice_adds(api: Api, server: FakeOpenAI) -> None:
    server.models = [{"id": "a", "name": "A", "description": "d"}, {"id": "b", "name": None}, {"no": "id"}]

    assert await api.models() == [Agent("a", "A", "d"), Agent("b")]
    assert [agent.title for agent in await api.models()] == ["A", "b"]


async def test_an_answer_is_streamed_and_asked_for_as_openai_says(api: Api, server: FakeOpenAI) -> None:
    assert await ask(api) == "Hello world"

    request = server.completions[0]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "fake",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_without_a_key_no_authorization_is_sent(server: FakeOpenAI) -> None:
    api = Api(Endpoint(server.url))
    await ask(api)
    await api.aclose()

    assert "authorization" not in server.completions[0].headers


async def test_comments_and_a_missing_done_after_the_finish_reason_are_accepted(api: Api, server: FakeOpenAI) -> None:
    server.script = [b": ping\n\n", "whole", chunk(finish_reason="stop")]

    assert await ask(api) == "whole"


async def test_reading_stops_at_done(api: Api, server: FakeOpenAI) -> None:
    server.script = [*whole("all"), HANG]

    assert await ask(api) == "all"


async def test_a_lone_surrogate_in_a_question_does_not_stop_it(api: Api, server: FakeOpenAI) -> None:
    await ask(api, "a\ud83db")

    assert server.completions[0].body["messages"][0]["content"] == "a?b"


async def test_leaving_an_answer_hangs_up(api: Api, server: FakeOpenAI) -> None:
    server.script = ["first", HANG]
    async with api.completion(Asked.new("fake", [])) as response:
        await anext(response.pieces)

    assert server.completions[0].gone.wait(5)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("https://chat.example.org/", "https://chat.example.org/v1"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        (" https://x.test/v1beta/openai?a=b#c ", "https://x.test/v1beta/openai"),
    ],
)
def test_an_address_becomes_a_base_url(given: str, url: str) -> None:
    assert base_url(given) == url


@pytest.mark.parametrize("given", ["localhost:8080", "ftp://x.test", "http://", "", "http://[::1", "http://u:p@x.test/"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        base_url(given)


def test_a_key_is_in_no_representation() -> None:
    assert KEY not in repr(Endpoint("http://x.test/v1", KEY))
