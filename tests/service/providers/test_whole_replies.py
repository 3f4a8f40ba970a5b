"""An answer that comes whole is told exactly as if it had been streamed."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.providers.openai_api import OpenAIProvider
from sluice_wire.events import Delta, Finish, Usage
from tests.service.providers.asking import Told, a_call, ask
from tests.service.providers.conftest import Link, MakeProvider
from tests.support.scripted_upstream import CLOSE, HANG, RESET, STREAM_HEAD, ScriptedUpstream, response

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}

MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | st.text(st.characters(codec="utf-8"), max_size=60)},
    optional={
        "reasoning_content": st.text(min_size=1),
        "refusal": st.none() | st.text(min_size=1),
        "tool_calls": st.lists(st.just(TOOL_CALL), max_size=2),
    },
)
COMPLETIONS = st.builds(
    lambda messages, reason, usage: {
        "object": "chat.completion",
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": reason}
            for index, message in enumerate(messages)
        ],
        "usage": usage,
    },
    st.lists(MESSAGES, min_size=1, max_size=3),
    st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    st.none() | st.just(USAGE),
)


def completion(message: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": "stop", **more}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()


def streamed(whole: dict[str, Any]) -> bytes:
    """The same answer as a server streams it: a role, a delta for each character, the finish, the usage."""
    chunks = [
        {"choices": [{"finish_reason": None, **part, "index": choice["index"]}]}
        for choice in whole["choices"]
        for part in [
            *({"delta": delta} for delta in character_deltas(choice["message"])),
            {"delta": {}, "finish_reason": choice["finish_reason"]},
        ]
    ]
    chunks.append({"choices": [], "usage": whole["usage"]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def character_deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for key in ("reasoning_content", "refusal", "content"):
        deltas.extend({key: character} for character in message.get(key) or "")
    return deltas + [{"tool_calls": [{"index": n, **call}]} for n, call in enumerate(message.get("tool_calls") or [])]


def gathered(told: Told) -> dict[str, Any]:
    """What a client makes of the events: texts joined, tool calls in order, for each choice."""
    joined: dict[tuple[int, str], Any] = {}
    for choice in told.choices:
        for key, value in choice["delta"].items():
            place = choice["index"], key
            joined[place] = joined[place] + value if place in joined else value
    return {"deltas": joined, "reasons": told.reasons, "usage": told.usage, "text": told.text, "code": told.code}


@given(COMPLETIONS)
@settings(max_examples=100, deadline=None)
def test_property_provider_input_has_one_format_for_both_modes(link: Link, whole: dict[str, Any]) -> None:
    link.upstream.script = [STREAM_HEAD, streamed(whole), CLOSE]
    from_stream = link.run(ask(link.provider, a_call()))
    link.upstream.script = response("200 OK", json.dumps(whole).encode())
    from_whole = link.run(ask(link.provider, a_call(stream=False)))

    assert gathered(from_whole) == gathered(from_stream)
    assert from_whole.error is None
    for told in (from_stream, from_whole):
        assert all(isinstance(event, Delta | Finish | Usage) for event in told.events)
        assert all(choice["finish_reason"] is None and "role" not in choice["delta"] for choice in told.choices)


@pytest.mark.parametrize("asked_for_a_stream", [True, False])
async def test_whole_text_is_told_in_pieces_of_the_configured_size(
    upstream: ScriptedUpstream, provider: OpenAIProvider, asked_for_a_stream: bool
) -> None:
    upstream.script = response("200 OK", completion({"content": "The whole answer came at once."}))

    told = await ask(provider, a_call(stream=asked_for_a_stream))

    assert [choice["delta"]["content"] for choice in told.choices] == ["The whole ", "answer came ", "at once."]
    assert told.reasons == ["stop"]
    assert told.usage == USAGE


async def test_reasoning_comes_before_the_text_and_tool_calls_after_it(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    message = {"tool_calls": [TOOL_CALL], "content": "Let me see.", "reasoning_content": "Hm.", "refusal": None}
    upstream.script = response("200 OK", completion(message))

    told = await ask(provider)

    assert [choice["delta"] for choice in told.choices] == [
        {"reasoning_content": "Hm."},
        {"content": "Let me see."},
        {"tool_calls": [{"index": 0, **TOOL_CALL}]},
    ]


async def test_content_in_parts_is_passed_on_as_it_is(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    upstream.script = response("200 OK", completion({"content": parts}))

    told = await ask(provider)

    assert [choice["delta"] for choice in told.choices] == [{"content": parts}]


async def test_what_stands_beside_the_message_is_kept_with_the_finish(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    upstream.script = response("200 OK", completion({"content": "a"}, logprobs={"content": []}, native_finish_reason="eos"))

    told = await ask(provider)

    finish = next(event for event in told.events if isinstance(event, Finish))
    assert finish.choices == [
        {"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": {"content": []}, "native_finish_reason": "eos"}
    ]


async def test_bytes_that_upstream_spent_are_counted_once(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    body = completion({"content": "counted " * 20})
    upstream.script = response("200 OK", body)

    told = await ask(provider)

    assert sum(event.size_bytes for event in told.events if isinstance(event, Delta)) == len(body)


async def test_long_whole_answer_is_told_in_many_batches(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    upstream.script = response("200 OK", completion({"content": "word " * 4000}))

    told = await ask(provider)

    assert told.text == "word " * 4000
    assert max(map(len, told.batches)) <= 256


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"choices": "none"}', "upstream_invalid_response"),
        (b'{"detail": "Not Found"}', "upstream_invalid_response"),
        (b'{"choices": [1]}', "upstream_invalid_response"),
        (b'{"choices": [{"index": 0, "text": "old"}]}', "upstream_invalid_response"),
        (b'{"choices": [{"message": {"tool_calls": {"a": 1}}}]}', "upstream_invalid_response"),
        (b"[]", "upstream_invalid_response"),
        (b"", "upstream_invalid_response"),
        (b'{"choices": [', "upstream_invalid_response"),
        (b'{"choices": [NaN]}', "upstream_invalid_response"),
        (b"\xff\xfe\xfd", "upstream_invalid_response"),
        (b"[" * 100_000, "upstream_invalid_response"),
        (completion({"content": "ok"}, finish_reason="error", error={"code": 503}), "upstream_overloaded"),
        (b'{"error": {"code": 429, "message": "slow down"}}', "upstream_rate_limited"),
    ],
)
async def test_whole_reply_that_is_no_answer_has_its_code(
    upstream: ScriptedUpstream, provider: OpenAIProvider, body: bytes, code: str
) -> None:
    upstream.script = response("200 OK", body)

    assert (await ask(provider, a_call(stream=False))).code == code


async def test_whole_reply_without_a_finish_reason_has_no_finish(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    upstream.script = response("200 OK", completion({"content": "half"}, finish_reason=None))

    told = await ask(provider)

    assert (told.text, told.reasons, told.error) == ("half", [], None)


async def test_whole_reply_beyond_the_bound_is_not_read_on(upstream: ScriptedUpstream, make_provider: MakeProvider) -> None:
    upstream.script = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", b" " * 5000, HANG]

    assert (await ask(make_provider(upstream.url, max_event_bytes=4096))).code == "upstream_invalid_response"


async def test_whole_reply_that_breaks_off_is_truncated(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    upstream.script = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n", b"{", RESET]

    assert (await ask(provider)).code == "upstream_truncated"
