from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_wire.chunks import ErrorChunk, InvalidChunk, events_of
from sluice_wire.events import Delta, Finish, Usage

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(*choices: Any, **rest: Any) -> dict[str, Any]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": list(choices), **rest}


def choice(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0, **rest: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason, **rest}


def test_openai_first_chunk_with_the_role_alone_tells_nothing() -> None:
    assert events_of(chunk(choice({"role": "assistant", "content": "", "refusal": None}))) == []


def test_openai_content_is_a_delta_of_its_text_and_size() -> None:
    assert events_of(chunk(choice({"content": "Hi"})), 120) == [Delta([choice({"content": "Hi"})], "Hi", 120)]


def test_openai_finish_and_usage_chunks() -> None:
    (finish,) = events_of(chunk(choice({}, "stop"), usage=None))
    assert isinstance(finish, Finish)
    assert finish.reasons == ["stop"]
    assert events_of(chunk(usage=USAGE)) == [Usage(USAGE)]


def test_openai_finish_keeps_what_stands_beside_it() -> None:
    (finish,) = events_of(chunk(choice({}, "length", logprobs={"content": []})))
    assert finish == Finish([choice({}, "length", logprobs={"content": []})])


def test_azure_first_chunk_with_the_prompts_filter_results_tells_nothing() -> None:
    assert events_of(chunk(prompt_filter_results=[{"prompt_index": 0}])) == []


def test_gemini_content_with_its_finish_reason_and_usage_is_told_in_this_order() -> None:
    events = events_of(chunk(choice({"role": "assistant", "content": "Hi"}, "stop", logprobs=[]), usage=USAGE), 9)
    told = choice({"content": "Hi"}, logprobs=[])
    assert events == [Delta([told], "Hi", 9), Finish([choice({}, "stop")]), Usage(USAGE)]


def test_ollama_and_vllm_roles_on_every_chunk_are_dropped() -> None:
    (delta,) = events_of(chunk(choice({"role": "assistant", "content": "Hi"}, logprobs=None, stop_reason=None)))
    assert isinstance(delta, Delta)
    assert delta.choices[0]["delta"] == {"content": "Hi"}


def test_vllm_usage_on_every_chunk_follows_its_delta() -> None:
    assert [type(event) for event in events_of(chunk(choice({"content": "Hi"}), usage=USAGE))] == [Delta, Usage]


def test_openrouter_finish_reason_error_is_a_failure_with_its_reason() -> None:
    failed = choice({"content": ""}, "error", error={"code": 502, "message": "gone"}, native_finish_reason="error")
    with pytest.raises(ErrorChunk) as caught:
        events_of(chunk(failed))
    assert caught.value.error == {"code": 502, "message": "gone"}


@pytest.mark.parametrize("error", [{"message": "overloaded"}, "overloaded", ["overloaded"], 503])
def test_error_inside_the_stream_is_a_failure_even_beside_content(error: object) -> None:
    with pytest.raises(ErrorChunk) as caught:
        events_of(chunk(choice({"content": "Hi"}), error=error))
    assert caught.value.error == error
    assert "overloaded" not in str(caught.value)


def test_error_that_is_null_is_none() -> None:
    assert len(events_of(chunk(choice({"content": "Hi"}), error=None))) == 1


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"reasoning_content": "Let me think"},
        {"reasoning": "Let me think", "content": ""},
        {"refusal": "I cannot"},
        {"function_call": {"name": "f"}},
    ],
)
def test_what_is_not_content_passes_through_unchanged_and_without_text(delta: dict[str, Any]) -> None:
    assert events_of(chunk(choice(delta))) == [Delta([choice(delta)], "", 0)]


def test_text_is_that_of_the_first_of_several_choices() -> None:
    both = (choice({"content": "b"}, index=1), choice({"content": "a"}))
    assert events_of(chunk(*both)) == [Delta(list(both), "a", 0)]


def test_choices_that_end_while_others_go_on_are_told_apart() -> None:
    events = events_of(chunk(choice({}, "stop", index=1), choice({"content": "a"})))
    assert events == [Delta([choice({"content": "a"})], "a", 0), Finish([choice({}, "stop", index=1)])]


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "text",
        7,
        {"choices": "text"},
        {"choices": {"index": 0}},
        {"choices": [None]},
        {"choices": [[]]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": ["text"]}]},
        {"choices": [{"delta": {}, "finish_reason": 1}]},
        {"choices": [{"delta": {}, "finish_reason": {"reason": "stop"}}]},
    ],
)
def test_wrong_shapes_are_invalid(wrong: object) -> None:
    with pytest.raises(InvalidChunk):
        events_of(wrong)


@pytest.mark.parametrize("empty", [{}, {"choices": None}, {"choices": []}, {"choices": [{}]}, {"usage": None}])
def test_chunks_without_anything_tell_nothing(empty: object) -> None:
    assert events_of(empty) == []


def test_chunk_is_not_changed_by_being_read() -> None:
    original = chunk(choice({"role": "assistant", "content": "Hi"}, "stop"), usage=USAGE)
    events_of(original)
    assert original == chunk(choice({"role": "assistant", "content": "Hi"}, "stop"), usage=USAGE)


@pytest.mark.parametrize("text", ["Hi", "é🎉", "\ud83c"])
@pytest.mark.parametrize("rest", [{}, {"logprobs": None}, {"native_finish_reason": None, "logprobs": {"content": []}}])
def test_plain_text_is_read_as_text_with_a_role_is_that_is_taken_apart(text: str, rest: dict[str, Any]) -> None:
    plain = chunk(choice({"content": text}, **rest), usage=None)
    taken_apart = chunk(choice({"role": "assistant", "content": text}, **rest), usage=None)

    assert events_of(plain, 7) == events_of(taken_apart, 7) == [Delta([choice({"content": text}, **rest)], text, 7)]


@pytest.mark.parametrize(
    ("unusual", "events"),
    [
        (choice({"content": "Hi"}, index=1), [Delta([choice({"content": "Hi"}, index=1)], "", 7)]),
        ({"index": 0, "delta": {"content": "Hi"}}, [Delta([choice({"content": "Hi"})], "Hi", 7)]),
        (choice({"content": ""}), []),
        (choice({"content": None}), []),
        (choice({"content": ["Hi"]}), [Delta([choice({"content": ["Hi"]})], "", 7)]),
        (choice({"reasoning_content": "Hi"}), [Delta([choice({"reasoning_content": "Hi"})], "", 7)]),
    ],
)
def test_what_is_nearly_plain_text_is_not_taken_for_it(unusual: dict[str, Any], events: list[Delta]) -> None:
    assert events_of(chunk(unusual), 7) == events


NAMES = st.sampled_from(
    ["choices", "delta", "finish_reason", "error", "usage", "index", "content", "role", "tool_calls", "other"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["error", "stop"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)
CHOICES = st.fixed_dictionaries({}, optional={"delta": JSON, "finish_reason": JSON, "index": JSON, "error": JSON})
CHUNKS = JSON | st.fixed_dictionaries(
    {"choices": st.lists(CHOICES | JSON, max_size=3)}, optional={"usage": JSON, "error": st.none() | JSON}
)


@given(CHUNKS)
@settings(max_examples=500)
def test_any_json_gives_events_or_one_of_two_errors(value: object) -> None:
    try:
        events = events_of(value)
    except (InvalidChunk, ErrorChunk):
        return
    for event in events:
        match event:
            case Delta(choices, text, _):
                assert choices
                assert isinstance(text, str)
                assert all("role" not in told["delta"] and told["finish_reason"] is None for told in choices)
            case Finish():
                assert event.reasons
                assert all(isinstance(reason, str) and reason not in ("", "error") for reason in event.reasons)
            case Usage(usage):
                assert isinstance(usage, dict)
