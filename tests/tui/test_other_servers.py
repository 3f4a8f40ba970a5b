"""Servers that are OpenAI-compatible in their own way, over real sockets: what differs is allowed for, or told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_tui.agents import Agent, Capabilities, first_that_chats, listed
from sluice_tui.api import Api, Asked, Endpoint
from sluice_tui.connection import Connection
from sluice_tui.errors import ClientError
from sluice_tui.foreign_errors import openai_error
from sluice_tui.reconnecting import answer
from sluice_tui.stream import Onboarding, Stored, reasoning_of
from sluice_wire.events import Delta
from tests.tui.asking import HASTY, SHORT, ask, assert_three_parts, failure, hear, question
from tests.tui.fake_openai import DONE, RESET, FakeOpenAI, Reply, frame, whole

# As the servers named send them.
ERRORS: dict[str, tuple[int, Any, str, str]] = {
    "OpenAI": (400, {"error": {"message": "too long", "type": "t", "code": "too_big"}}, "too long", "too_big"),
    "OpenRouter": (402, {"error": {"message": "no credits", "code": 402}}, "no credits", "request_refused"),
    "LiteLLM": (400, {"error": {"message": "bad", "type": "None", "param": "None", "code": "400"}}, "bad", "None"),
    "Ollama": (404, {"error": "model 'x' not found"}, "model 'x' not found", "request_refused"),
    "vLLM": (404, {"object": "error", "message": "no `x`", "type": "NotFoundError", "code": 404}, "no `x`", "NotFoundError"),
    "llama.cpp": (503, {"error": {"code": 503, "message": "Loading model", "type": "busy"}}, "Loading model", "busy"),
    "Gemini": (400, [{"error": {"code": 400, "message": "bad key", "status": "INVALID"}}], "bad key", "request_refused"),
    "FastAPI": (422, {"detail": [{"loc": ["body", "model"], "msg": "required"}]}, "model: required", "request_refused"),
    "FastAPI in words": (404, {"detail": "Not Found"}, "Not Found", "request_refused"),
    "LiteLLM in FastAPI": (400, {"detail": {"error": "no such model"}}, "no such model", "request_refused"),
    "Kong": (401, {"message": "No API key found"}, "No API key found", "credentials_refused"),
    "Cloudflare": (400, {"success": False, "errors": [{"code": 7, "message": "no route"}]}, "no route", "request_refused"),
}


@pytest.mark.parametrize(("status", "body", "what", "code"), ERRORS.values(), ids=ERRORS.keys())
async def test_every_shape_of_error_is_told_in_the_servers_words(
    api: Api, server: FakeOpenAI, status: int, body: Any, what: str, code: str
) -> None:
    server.replies["/v1/chat/completions"] = Reply(status, body)

    report = await failure(api)

    assert (report.what, report.code) == (what, code)
    assert_three_parts(report)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "message", "detail"]), inner),
)


@given(body=json_values)
def test_no_body_of_any_shape_breaks_the_reading_of_errors(body: object) -> None:
    told = openai_error(body)

    assert told is None or isinstance(told["message"], str)


async def test_a_passing_failure_of_another_server_is_tried_again(server: FakeOpenAI) -> None:
    server.scripts = [Reply(503, {"error": {"message": "Loading model", "code": 503}}), whole("now")]

    async with Connection(Endpoint(server.url), patience=HASTY) as connection:
        heard = await hear(answer(connection, question()))

    assert (heard.text, len(heard.waits)) == ("now", 1)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, {"error": {"message": "spent", "code": "insufficient_quota"}}),
        Reply(503, {"error": {"message": "no"}}, headers={"x-should-retry": "false"}),
    ],
)
async def test_a_failure_that_will_not_pass_is_told_at_once(server: FakeOpenAI, reply: Reply) -> None:
    server.scripts = [reply]

    async with Connection(Endpoint(server.url), patience=HASTY) as connection:
        with pytest.raises(ClientError):
            await hear(answer(connection, question()))

    assert len(server.completions) == 1


# -- addresses


async def test_an_api_below_v1_is_found_where_v1_was_not_given(server: FakeOpenAI) -> None:
    root = server.url.removesuffix("/v1")

    async with Connection(Endpoint(root), patience=HASTY) as connection:
        heard = await hear(answer(connection, question()))

        assert (heard.text, (await connection.line()).api.url) == ("Hello world", server.url)


async def test_an_api_without_v1_is_found_where_v1_was_assumed(server: FakeOpenAI) -> None:
    server.base = ""

    async with Connection(Endpoint(server.url), "fake", patience=HASTY) as connection:
        heard = await hear(answer(connection, question()))

    assert heard.text == "Hello world"
    assert server.completions[-1].path == "/chat/completions"


async def test_an_unknown_model_is_told_in_the_servers_words_though_its_status_is_that_of_a_wrong_address(
    api: Api, server: FakeOpenAI
) -> None:
    server.replies["/v1/chat/completions"] = Reply(404, {"error": {"message": "model 'x' not found"}})

    assert (await failure(api)).what == "model 'x' not found"


# -- streams


async def test_a_server_that_does_not_know_stream_options_is_asked_without_them(api: Api, server: FakeOpenAI) -> None:
    server.scripts = [Reply(422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs"}]})]

    assert [await ask(api), await ask(api)] == ["Hello world"] * 2
    assert ["stream_options" in request.body for request in server.completions] == [True, False, False]


async def test_a_server_that_answers_in_one_piece_though_a_stream_was_asked_for_is_heard(
    api: Api, server: FakeOpenAI
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "all at once"}, "finish_reason": "stop"}
    server.scripts = [Reply(200, {"object": "chat.completion", "choices": [choice]})]

    assert await ask(api) == "all at once"


async def test_an_error_with_the_status_of_success_is_an_error(api: Api, server: FakeOpenAI) -> None:
    server.replies["/v1/chat/completions"] = Reply(200, {"error": "Unexpected endpoint or method"})

    assert (await failure(api)).what == "Unexpected endpoint or method"


async def test_a_stream_without_usage_finish_reason_or_name_is_whole_at_done(api: Api, server: FakeOpenAI) -> None:
    server.script = [frame({"choices": [{"delta": {"role": "assistant", "content": "short"}}], "usage": None}), DONE]

    assert await ask(api) == "short"


async def test_a_dropped_stream_of_a_server_that_cannot_resume_is_asked_for_anew(server: FakeOpenAI) -> None:
    server.scripts = [["half", RESET], whole("the whole")]

    async with Connection(Endpoint(server.url), patience=HASTY) as connection:
        heard = await hear(answer(connection, question()))

    assert (heard.text, heard.restarts) == ("the whole", 1)
    assert not [path for path in server.paths if "/streams/" in path]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_what_a_model_thinks_aloud_is_kept_apart(name: str) -> None:
    assert reasoning_of(Delta([{"index": 0, "delta": {name: "hm"}}], "", 0)) == "hm"
    assert reasoning_of(Delta([{"index": 0, "delta": {"content": "x"}}], "x", 0)) == ""


# -- models


@pytest.mark.parametrize(
    ("body", "ids"),
    [([{"id": "a"}, {"id": "b"}], ["a", "b"]), ({"object": "list", "data": None}, []), ({"data": [{"id": "a"}]}, ["a"])],
)
def test_lists_of_models_in_every_shape(body: object, ids: list[str]) -> None:
    assert [agent.id for agent in listed(body) or []] == ids


async def test_without_a_list_of_models_a_named_one_is_asked(server: FakeOpenAI) -> None:
    server.replies["/v1/models"] = Reply(404, {"detail": "Not Found"})

    async with Connection(Endpoint(server.url), "named", patience=HASTY) as connection:
        assert await connection.agents() == []
        assert await connection.capabilities() == Capabilities()
        await hear(answer(connection, question("named")))
    async with Connection(Endpoint(server.url), patience=HASTY) as connection:
        with pytest.raises(ClientError) as caught:
            await connection.line()

    assert server.completions[0].body["model"] == "named"
    assert caught.value.report.code == "models_unlisted"
    assert "--agent" in caught.value.report.action


def test_what_cannot_chat_is_not_chosen_first() -> None:
    agents = [Agent("text-embedding-3-small"), Agent("whisper-1"), Agent("gpt-5-mini")]

    assert first_that_chats(agents) == agents[2]
    assert first_that_chats(agents[:1]) == agents[0]
    assert first_that_chats([]) is None


# -- what lights up


async def test_sluice_is_known_by_its_models_and_others_have_none_of_its_extras(server: FakeOpenAI) -> None:
    async with Connection(Endpoint(server.url)) as connection:
        assert await connection.capabilities() == Capabilities()
    server.models = [{"id": "demo", "owned_by": "sluice"}, {"id": "other", "owned_by": "sluice"}]
    async with Connection(Endpoint(server.url), "demo") as connection:
        assert await connection.capabilities() == Capabilities(True, True, True, True)
        assert (await connection.use("other")).agent.owner == "sluice"
        assert (await connection.line()).agent.id == "other"


async def test_a_turn_to_be_stored_says_so_and_tells_where_it_is(server: FakeOpenAI) -> None:
    finish = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    finish["sluice"] = {"conversation_id": "c1", "persisted": True, "step": 1, "total": 3, "done": False}  # type: ignore[assignment]
    server.script = ["text", frame(finish), DONE]
    asked = Asked.new("fake", [], store=True, conversation_id="c1")

    async with Connection(Endpoint(server.url)) as connection:
        heard = await hear(answer(connection, asked))

    assert server.completions[0].body["metadata"] == {"conversation_id": "c1"}
    assert server.completions[0].body["store"] is True
    assert heard.progress[1:] == [Stored("c1", True), Onboarding(1, 3, False)]


async def test_any_other_route_gives_its_json_or_the_servers_error(server: FakeOpenAI) -> None:
    server.replies["/v1/conversations?limit=2"] = Reply(200, {"data": []})
    server.replies["/v1/conversations/x"] = Reply(204, "")
    server.replies["/v1/onboarding/y"] = Reply(404, {"error": {"message": "none", "code": "not_found"}})
    api = Api(Endpoint(server.url), SHORT)

    assert await api.call("GET", "/conversations", query={"limit": 2}) == {"data": []}
    assert await api.call("GET", "/conversations/x") is None
    with pytest.raises(ClientError) as caught:
        await api.call("GET", "/onboarding/y")
    await api.aclose()

    assert caught.value.report.code == "not_found"
