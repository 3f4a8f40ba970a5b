"""LOG_CONTENT: whether messages and answers reach the log of the running function."""

from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.entries import GrowingLog, named
from tests.support.running_function import running_function
from tests.support.scripted_upstream import RESET, ScriptedUpstream, answer

WORDS = st.text(min_size=1, max_size=30)


def environment(upstream: ScriptedUpstream, *, log_content: bool) -> dict[str, str]:
    return {
        "K_SERVICE": "sluice",
        "LOG_LEVEL": "DEBUG",
        "OPENAI_API_KEY": "sk-of-upstream-0123",
        "OPENAI_BASE_URL": upstream.url,
        "LOG_CONTENT": str(log_content).lower(),
    }


def ask(client: httpx.Client, question: str, **body: Any) -> str:
    """The request's id."""
    messages = [{"role": "user", "content": question}]
    reply = client.post("/v1/chat/completions", json={"model": "assistant", "messages": messages, **body})
    return reply.headers["x-request-id"]


@pytest.mark.parametrize("log_content", [True, False])
def test_content_logging_obeys_its_setting(upstream: ScriptedUpstream, log_content: bool) -> None:
    with running_function(environment(upstream, log_content=log_content)) as function, function.client() as client:
        log = GrowingLog(function.log_file)

        @given(asked=st.uuids(), said=st.uuids(), around=WORDS, stream=st.booleans(), broken=st.booleans())
        @settings(max_examples=100, deadline=None)
        def obeys(asked: object, said: object, around: str, stream: bool, broken: bool) -> None:
            script = answer(around, str(said), around)
            upstream.script = [*script[:7], RESET] if broken else script
            lines = "".join(log.until_complete(ask(client, f"{around} {asked}", stream=stream)))
            assert (str(asked) in lines) is log_content
            assert (str(said) in lines) is log_content

        obeys()


def test_whole_content_is_in_the_last_entry_when_it_is_asked_for(upstream: ScriptedUpstream) -> None:
    upstream.script = answer("Ebb", " and flood")
    with running_function(environment(upstream, log_content=True)) as function, function.client() as client:
        (complete,) = named(GrowingLog(function.log_file).entries_of(ask(client, "hi", stream=True)), "response_complete")
    assert complete["messages"] == [{"role": "user", "content": "hi"}]
    assert complete["answer"] == "Ebb and flood"
