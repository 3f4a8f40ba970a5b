"""OpenAI's optional parameters: an agent that fixes them ignores the caller's, a passthrough agent forwards them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.running_function import running_function
from tests.support.scripted_upstream import ScriptedUpstream, answer

AGENTS = """
[providers.here]
base_url = "{url}"
[[agents]]
id = "fixed"
provider = "here"
model = "m-1"
instructions = "Be brief."
temperature = 0.25
max_tokens = 77
seed = 5
[[agents]]
id = "open"
provider = "here"
model = "m-2"
passthrough = true
temperature = 0.5
"""
FIXED = {"temperature": 0.25, "max_tokens": 77, "seed": 5}
MESSAGES = [{"role": "user", "content": "hi"}]

NUMBERS = st.floats(-2, 2)
PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": NUMBERS,
    "top_p": st.floats(0, 1),
    "max_tokens": st.integers(1, 10_000),
    "max_completion_tokens": st.integers(1, 10_000),
    "presence_penalty": NUMBERS,
    "frequency_penalty": NUMBERS,
    "seed": st.integers(-(2**31), 2**31),
    "stop": st.none() | st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=4),
    "logit_bias": st.dictionaries(st.integers(0, 9).map(str), st.integers(-100, 100), max_size=3),
    "response_format": st.just({"type": "json_object"}),
    "tools": st.just([{"type": "function", "function": {"name": "f", "parameters": {"x-own": [1, None]}}}]),
    "tool_choice": st.sampled_from(("auto", "none")),
    "parallel_tool_calls": st.booleans(),
    "reasoning_effort": st.sampled_from(("low", "high")),
    "service_tier": st.just("auto"),
    "x_vendor_extension": st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
}
CHOSEN = st.fixed_dictionaries({}, optional=PARAMETERS)
OURS = {"user": "someone", "metadata": {"a": "b"}, "store": False}


@pytest.fixture(scope="module")
def client(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    agents: Path = tmp_path_factory.mktemp("agents") / "agents.toml"
    agents.write_text(AGENTS.format(url=shared_upstream.url))
    with running_function({"AGENTS_FILE": str(agents)}) as function, function.client() as client:
        yield client


def sent_upstream(client: httpx.Client, upstream: ScriptedUpstream, **body: Any) -> dict[str, Any]:
    upstream.script = answer("ok")
    upstream.calls.clear()
    client.post("/v1/chat/completions", json={"messages": MESSAGES, **body}).raise_for_status()
    (call,) = upstream.calls
    sent: dict[str, Any] = call.body
    return sent


@given(parameters=CHOSEN, stream=st.booleans())
@settings(max_examples=100, deadline=None)
def test_optional_parameters_are_ignored_by_an_agent_that_fixes_them(
    client: httpx.Client, shared_upstream: ScriptedUpstream, parameters: dict[str, Any], stream: bool
) -> None:
    sent = sent_upstream(client, shared_upstream, model="fixed", stream=stream, **OURS, **parameters)
    assert sent == {
        "model": "m-1",
        "messages": [{"role": "system", "content": "Be brief."}, *MESSAGES],
        "stream": True,
        "stream_options": {"include_usage": True},
        **FIXED,
    }


@given(parameters=CHOSEN, stream=st.booleans())
@settings(max_examples=100, deadline=None)
def test_optional_parameters_are_forwarded_by_a_passthrough_agent(
    client: httpx.Client, shared_upstream: ScriptedUpstream, parameters: dict[str, Any], stream: bool
) -> None:
    sent = sent_upstream(client, shared_upstream, model="open", stream=stream, **OURS, **parameters)
    always = {"model": "m-2", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    assert sent == {**parameters, **always, "temperature": 0.5}


CONTENT = st.one_of(
    st.none(),
    st.text(),
    st.lists(st.builds(lambda text: {"type": "text", "text": text, "own": {}}, st.text(max_size=9)), max_size=3),
)
ANY_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(("developer", "system", "user", "assistant", "tool")), "content": CONTENT},
        optional={"name": st.text(max_size=5), "tool_call_id": st.just("c1"), "own_key": st.none() | st.integers()},
    ),
    min_size=1,
    max_size=4,
)


@given(messages=ANY_MESSAGES, stream=st.booleans())
@settings(max_examples=100, deadline=None)
def test_messages_pass_through_unchanged(
    client: httpx.Client, shared_upstream: ScriptedUpstream, messages: list[dict[str, Any]], stream: bool
) -> None:
    sent = sent_upstream(client, shared_upstream, model="open", stream=stream, messages=messages)
    assert sent["messages"] == messages


@given(messages=ANY_MESSAGES)
@settings(max_examples=100, deadline=None)
def test_provider_input_has_one_format_for_both_modes(
    client: httpx.Client, shared_upstream: ScriptedUpstream, messages: list[dict[str, Any]]
) -> None:
    sent = [sent_upstream(client, shared_upstream, model="fixed", stream=flag, messages=messages) for flag in (True, False)]
    assert sent[0] == sent[1]
