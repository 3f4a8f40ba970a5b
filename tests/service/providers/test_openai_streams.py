"""Streams as well-known servers send them, over a real socket, and what goes out to them."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.providers.base import ModelCall
from sluice_service.providers.openai_api import OpenAIProvider
from tests.service.providers.asking import a_call, ask
from tests.service.providers.conftest import KEY, Link, MakeProvider
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, ScriptedUpstream, answer, chunk, response

FIXTURES = Path(__file__).parent / "fixtures"

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=4)
MESSAGE_LISTS = st.lists(
    st.builds(
        lambda role, content, more: {**more, "role": role, "content": content},
        st.sampled_from(["system", "developer", "user", "assistant", "tool", "wizard"]),
        st.text() | st.none() | st.lists(OBJECTS, max_size=2),
        OBJECTS,
    ),
    max_size=4,
)
OURS = ("model", "messages", "stream", "stream_options")


@pytest.mark.parametrize(
    ("server", "text", "reasons", "total_tokens"),
    [
        ("openai", "Hello wörld 👋", ["stop"], 27),
        ("openrouter", "Hi there", ["stop"], 14),
        ("gemini", "Tides are caused by the Moon.", ["stop"], 16),
        ("ollama", "Hello!", ["stop"], 29),
        ("vllm", "Once upon", ["length"], 12),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100_000], ids=["bytewise", "in_small_pieces", "at_once"])
async def test_stream_of_a_well_known_server_is_read(
    upstream: ScriptedUpstream,
    provider: OpenAIProvider,
    server: str,
    text: str,
    reasons: Sequence[str],
    total_tokens: int,
    step: int,
) -> None:
    body = (FIXTURES / f"{server}.sse").read_bytes()
    upstream.script = [STREAM_HEAD, *(body[at : at + step] for at in range(0, len(body), step)), CLOSE]

    told = await ask(provider)

    assert told.error is None
    assert told.text == text
    assert told.reasons == reasons
    assert told.usage is not None
    assert told.usage["total_tokens"] == total_tokens
    assert not any("role" in choice["delta"] for choice in told.choices)


async def test_tool_calls_and_reasoning_pass_as_they_were_sent(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    deltas: list[dict[str, Any]] = [
        {"reasoning_content": "Let me look."},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"at":1}'}}]},
        {"refusal": "No."},
    ]
    frames = [b"data: " + json.dumps({"choices": [{"index": 1, "delta": delta}]}).encode() + b"\n\n" for delta in deltas]
    upstream.script = [STREAM_HEAD, *frames, chunk(finish="tool_calls"), CLOSE]

    told = await ask(provider)

    assert [choice["delta"] for choice in told.choices] == deltas
    assert told.text == ""
    assert told.reasons == ["tool_calls"]


async def test_a_batch_holds_what_arrived_together(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    upstream.script = [STREAM_HEAD + chunk("a") + chunk("b") + chunk("c"), 0.1, chunk("d"), chunk(finish="stop"), CLOSE]

    told = await ask(provider)

    assert len(told.batches[0]) == 3
    assert told.text == "abcd"


async def test_nothing_after_done_is_told(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    upstream.script = [STREAM_HEAD, chunk("a", "stop") + b"data: [DONE]\n\n" + chunk("b"), chunk("c"), CLOSE]

    told = await ask(provider)

    assert told.text == "a"
    assert told.error is None


async def test_text_that_ends_inside_an_emoji_is_read_although_its_json_is_unusual(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    upstream.script = [STREAM_HEAD, rb'data: {"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}', b"\n\n", CLOSE]

    told = await ask(provider)

    assert told.text == "\ud83d"
    assert told.error is None


async def test_compressed_stream_is_read_although_plain_bytes_are_asked_for(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    body = gzip.compress(chunk("packed") + chunk(finish="stop"))
    upstream.script = response("200 OK", body, "content-encoding: gzip", content_type="text/event-stream")

    told = await ask(provider)

    assert (told.text, told.reasons) == ("packed", ["stop"])
    assert upstream.calls[0].headers["accept-encoding"] == "identity"


@given(MESSAGE_LISTS)
@settings(max_examples=100, deadline=None)
def test_property_messages_pass_through_unchanged(link: Link, messages: list[dict[str, Any]]) -> None:
    link.run(ask(link.provider, a_call(messages)))

    assert link.upstream.calls[-1].body["messages"] == messages


@given(OBJECTS, st.booleans())
@settings(max_examples=100, deadline=None)
def test_property_optional_parameters_go_out_as_given_and_no_others(
    link: Link, parameters: dict[str, Any], stream: bool
) -> None:
    given_ones = {name: value for name, value in parameters.items() if name not in OURS}

    link.run(ask(link.provider, ModelCall("up-1", [], given_ones, stream)))

    body = link.upstream.calls[-1].body
    assert {name: value for name, value in body.items() if name not in OURS} == given_ones


@pytest.mark.parametrize(
    ("given_ones", "stream", "expected"),
    [
        ({}, True, {"include_usage": True}),
        ({"stream_options": {"include_usage": False, "include_obfuscation": False}}, True,
         {"include_usage": True, "include_obfuscation": False}),
        ({"stream_options": None}, True, {"include_usage": True}),
        ({"stream_options": {"include_usage": True}}, False, None),
    ],
)  # fmt: skip
async def test_usage_is_always_asked_for_in_a_stream_and_never_elsewhere(
    upstream: ScriptedUpstream,
    provider: OpenAIProvider,
    given_ones: dict[str, Any],
    stream: bool,
    expected: dict[str, Any] | None,
) -> None:
    await ask(provider, a_call(stream=stream, **given_ones, n=1))

    body = upstream.calls[0].body
    assert body.get("stream_options") == expected
    assert (body["model"], body["stream"]) == ("up-1", stream)


async def test_the_key_is_sent_as_a_bearer_token(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    await ask(provider)

    assert upstream.calls[0].headers["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_no_authorization_is_sent_whatever_the_environment_holds(
    upstream: ScriptedUpstream, make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-custom")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    upstream.script = answer("free")

    told = await ask(make_provider(upstream.url, api_key=None))

    assert told.text == "free"
    assert not {"authorization", "openai-organization", "openai-project"} & upstream.calls[0].headers.keys()


@pytest.mark.parametrize("key", ["sk-ü", "sk-a\nX-Evil: 1", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_refused_at_once_and_not_shown(make_provider: MakeProvider, key: str) -> None:
    with pytest.raises(ValueError, match="the key of the provider up") as caught:
        make_provider("http://127.0.0.1:9/v1", api_key=key)

    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["api.example.org/v1", "ftp://example.org/v1", "http://", "http://a:port/v1", ""])
def test_an_address_that_no_request_could_go_to_is_refused_at_once(make_provider: MakeProvider, url: str) -> None:
    with pytest.raises(ValueError, match="the address of the provider up"):
        make_provider(url)
