"""Clients that others wrote, unchanged, against the function: what their users see. openai-python has tests of its own."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import urlencode

import pytest

from sluice_wire.errors import ERRORS
from tests.support.chaos_proxy import Act, ChaosProxy, Fault
from tests.support.clients import PYTHON_CLIENTS, needs_node, needs_python_clients, run, told_by
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import (
    CLOSE,
    HANG,
    STREAM_HEAD,
    USAGE,
    Script,
    ScriptedUpstream,
    Step,
    answer,
    chunk,
    response,
)
from tests.support.simple_api import agents_file, ticket
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("other clients")  # so that one function serves them all

GRACE_SECONDS = 5
"""More than the 3 s after which EventSource connects again."""

PIECES = ("Ebb", " and", " flood ☾")
TEXT = "".join(PIECES)
BROKEN: Script = [STREAM_HEAD, chunk("Ebb"), CLOSE]
CLOSED = 2
"""EventSource's `readyState` when it tries no more."""


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    agents = agents_file(tmp_path_factory.mktemp("agents"), shared_upstream)
    with running_function({"AGENTS_FILE": agents, "RESUME_GRACE_SECONDS": str(GRACE_SECONDS)}) as function:
        yield function


@pytest.fixture
def model(upstream: ScriptedUpstream) -> ScriptedUpstream:
    """What answers; it has a good answer to begin with."""
    upstream.script = answer(*PIECES)
    return upstream


def ask(function: RunningFunction, script: str, way: str, key: str | None = None) -> Any:
    """What a client of the OpenAI API got."""
    return told_by(script, way, environment={"SLUICE_URL": function.url, "SLUICE_API_KEY": key or function.key})


def tokens(usage: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(usage[name] for name in names)


def expected_tokens() -> tuple[int, ...]:
    return (USAGE["prompt_tokens"], USAGE["completion_tokens"], USAGE["total_tokens"])


@needs_node
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("way", ["stream", "plain"])
def test_openai_for_node_gets_the_whole_answer(function: RunningFunction, way: str) -> None:
    got = ask(function, "openai_node.mjs", way)
    assert got == {"text": TEXT, "finishReasons": ["stop"], "usage": USAGE}


@needs_node
def test_openai_for_node_gets_a_typed_error(function: RunningFunction, model: ScriptedUpstream) -> None:
    error = ask(function, "openai_node.mjs", "stream", key="wrong-key")["error"]
    assert (error["name"], error["status"]) == ("AuthenticationError", 401)
    assert error["code"] == "invalid_credentials"
    assert ERRORS["invalid_credentials"].what in error["message"]
    assert model.calls == []


@needs_node
def test_openai_for_node_does_not_repeat_what_cannot_help(function: RunningFunction, model: ScriptedUpstream) -> None:
    model.script = response("401 Unauthorized", b'{"error": {"message": "no"}}')
    error = ask(function, "openai_node.mjs", "plain")["error"]
    assert (error["name"], error["code"]) == ("InternalServerError", "upstream_auth_failed")
    assert len(model.calls) == 1


@needs_node
def test_openai_for_node_raises_what_fails_inside_the_stream(function: RunningFunction, model: ScriptedUpstream) -> None:
    model.script = BROKEN
    got = ask(function, "openai_node.mjs", "stream")
    assert (got["text"], got["finishReasons"]) == ("Ebb", [])
    assert (got["error"]["name"], got["error"]["code"]) == ("APIError", "upstream_truncated")
    assert ERRORS["upstream_truncated"].what in got["error"]["message"]


@needs_node
def test_answer_that_openai_for_node_aborts_is_cancelled_after_the_grace(
    function: RunningFunction, model: ScriptedUpstream
) -> None:
    model.script = [STREAM_HEAD, chunk("Ebb"), HANG]
    got = ask(function, "openai_node.mjs", "abort")
    assert got == {"text": "Ebb", "finishReasons": []}
    assert model.calls[0].closed.wait(GRACE_SECONDS + 5)


@needs_node
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("way", ["stream", "generate"])
def test_ai_sdk_gets_the_whole_answer(function: RunningFunction, way: str) -> None:
    got = ask(function, "ai_sdk.mjs", way)
    assert (got["text"], got["finishReason"], got["error"]) == (TEXT, "stop", None)
    assert tokens(got["usage"], "inputTokens", "outputTokens", "totalTokens") == expected_tokens()


@needs_node
@pytest.mark.parametrize("way", ["stream", "generate"])
def test_ai_sdk_gets_a_typed_error(function: RunningFunction, model: ScriptedUpstream, way: str) -> None:
    error = ask(function, "ai_sdk.mjs", way, key="wrong-key")["error"]
    assert (error["name"], error["statusCode"]) == ("AI_APICallError", 401)
    assert (error["code"], error["isRetryable"]) == ("invalid_credentials", False)
    assert model.calls == []


@needs_node
def test_ai_sdk_takes_no_broken_answer_for_a_finished_one(function: RunningFunction, model: ScriptedUpstream) -> None:
    model.script = BROKEN
    got = ask(function, "ai_sdk.mjs", "stream")
    assert (got["text"], got["finishReason"]) == ("Ebb", "error")
    assert ERRORS["upstream_truncated"].what in got["error"]["message"]


def listen(*addresses: str, stays: bool = False) -> list[dict[str, Any]]:
    """What a page's EventSource got of each turn."""
    turns: list[dict[str, Any]] = told_by("event_source.mjs", *(["--stay"] if stays else []), *addresses)
    return turns


def address(
    function: RunningFunction, message: str, route: str = "/chat/stream", base: str | None = None, **query: str
) -> str:
    """Where a page listens to one turn, with a ticket that its own server fetched."""
    with function.client() as client:
        token = ticket(client, route)
    return f"{base or function.url}{route}?{urlencode({'message': message, 'token': token, **query})}"


def requests(function: RunningFunction) -> int:
    """How many came from pages so far; connections would not do, since Node opens some that it never uses."""
    return len(re.findall(r"request_received GET /chat/(?:onboarding-)?stream ", function.log()))


def dropped(function: RunningFunction, proxies: ExitStack, route: str, at_byte: int) -> str:
    """Where a page listens through a connection that breaks after so many bytes; the next one holds."""
    proxy = proxies.enter_context(ChaosProxy(function.port, [[Fault(Act.DROP, at_byte)]]))
    return address(function, "hi", route, proxy.url)


def types(turn: dict[str, Any]) -> list[str]:
    return [event["type"] for event in turn["events"]]


def text_of(turn: dict[str, Any]) -> str:
    return "".join(event["content"] for event in turn["events"] if event["type"] == "chunk")


@needs_node
def test_event_source_holds_a_whole_conversation(function: RunningFunction, model: ScriptedUpstream) -> None:
    before = requests(function)
    turns = [turn for said in ("hi", "and then?") for turn in listen(address(function, said, conversation_id="page-1"))]
    assert [text_of(turn) for turn in turns] == [TEXT, TEXT]
    assert [types(turn) for turn in turns] == [["chunk", "chunk", "chunk", "complete"]] * 2
    assert all(turn["errors"] == [] for turn in turns)
    assert all(turn["events"][-1]["persisted"] for turn in turns)
    assert [message["content"] for message in model.calls[1].body["messages"]] == ["hi", TEXT, "and then?"]
    assert requests(function) == before + 2


@needs_node
def test_event_source_goes_through_the_onboarding(function: RunningFunction, model: ScriptedUpstream) -> None:
    with function.client() as client:
        client.delete("/v1/onboarding/guide").raise_for_status()
    addresses = (address(function, said, "/chat/onboarding-stream") for said in ("learn to sail", "by June"))
    turns = [turn for each in addresses for turn in listen(each)]
    assert [text_of(turn) for turn in turns] == [TEXT, TEXT]
    ends = [turn["events"][-1] for turn in turns]
    assert [(end["type"], end["step"], end["total"], end["done"]) for end in ends] == [
        ("complete", 1, 2, False),
        ("complete", 2, 2, True),
    ]
    assert "learn to sail" in model.calls[1].body["messages"][0]["content"]


@needs_node
def test_dropped_event_sources_come_back_by_themselves_and_the_model_is_asked_once_for_each(
    function: RunningFunction, model: ScriptedUpstream
) -> None:
    first_half, second_half = [f"{n} " + "ebb " * 25 for n in range(6)], ["flood ", "☾"]
    # The first byte, so that not even the stream's id is known; and the middle of a frame.
    drops = [("/chat/stream", 1), ("/chat/stream", 1800), ("/chat/onboarding-stream", 1800)]
    before = requests(function)

    def script(_: Any) -> Iterator[Step]:
        yield from answer(*first_half)[:-4]
        until(lambda: requests(function) == before + 2 * len(drops), "each connects again")
        yield from answer(*second_half)[2:]

    model.script = script  # type: ignore[assignment]
    with ExitStack() as proxies:
        turns = listen(*(dropped(function, proxies, route, at_byte) for route, at_byte in drops))

    seen_before_the_drop = [count for turn in turns for count in turn["errors"]]
    assert seen_before_the_drop[0] == 0
    assert all(0 < count < len(first_half) for count in seen_before_the_drop[1:])
    assert [text_of(turn) for turn in turns] == ["".join([*first_half, *second_half])] * len(drops)
    assert [[event["sequence"] for event in turn["events"]] for turn in turns] == [list(range(1, 10))] * len(drops)
    assert all(types(turn)[-1] == "complete" for turn in turns)
    assert (len(seen_before_the_drop), len(model.calls)) == (len(drops), len(drops))


@needs_node
def test_event_source_that_is_not_closed_is_told_to_stop(function: RunningFunction, model: ScriptedUpstream) -> None:
    (turn,) = listen(address(function, "hi"), stays=True)
    assert types(turn) == ["chunk", "chunk", "chunk", "complete"]
    assert (turn["errors"], turn["code"], turn["readyState"]) == ([4, 4], 204, CLOSED)
    assert len(model.calls) == 1


@needs_node
def test_event_source_gets_an_error_as_an_event(function: RunningFunction, model: ScriptedUpstream) -> None:
    model.script = BROKEN
    (turn,) = listen(address(function, "hi"))
    assert types(turn) == ["chunk", "error"]
    assert turn["events"][-1]["code"] == "upstream_truncated"
    assert turn["events"][-1]["error"] == ERRORS["upstream_truncated"].what
    assert turn["errors"] == []


@needs_node
def test_event_source_with_a_ticket_for_another_route_stops_at_once(
    function: RunningFunction, model: ScriptedUpstream
) -> None:
    elsewhere = address(function, "hi", "/chat/onboarding-stream").replace("onboarding-stream", "stream")
    (turn,) = listen(elsewhere)
    assert (turn["events"], turn["code"], turn["readyState"]) == ([], 401, CLOSED)
    assert model.calls == []


@needs_python_clients
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("way", ["stream", "invoke"])
def test_langchain_gets_the_whole_answer(function: RunningFunction, way: str) -> None:
    got = ask(function, "langchain_client.py", way)
    assert (got["text"], got["finish_reason"], got["error"]) == (TEXT, "stop", None)
    assert tokens(got["usage"], "input_tokens", "output_tokens", "total_tokens") == expected_tokens()


@needs_python_clients
def test_langchain_takes_no_broken_answer_for_a_finished_one(function: RunningFunction, model: ScriptedUpstream) -> None:
    model.script = BROKEN
    got = ask(function, "langchain_client.py", "stream")
    assert (got["text"], got["finish_reason"]) == ("Ebb", None)
    assert got["error"] == {"name": "APIError", "code": "upstream_truncated"}


LLM_MODELS = """
- model_id: sluice
  model_name: assistant
  api_base: {url}/v1
  api_key_name: sluice
"""


def llm(function: RunningFunction, home: Path, key: str, *options: str) -> "CompletedProcess[str]":
    """The `llm` command, set up by the two files that its users write."""
    (home / "extra-openai-models.yaml").write_text(LLM_MODELS.format(url=function.url))
    (home / "keys.json").write_text(json.dumps({"sluice": key}))
    return run(PYTHON_CLIENTS / "llm", "-m", "sluice", *options, "hi", LLM_USER_PATH=str(home))


@needs_python_clients
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("options", [(), ("--no-stream",)], ids=["streamed", "plain"])
def test_llm_prints_the_whole_answer(function: RunningFunction, tmp_path: Path, options: tuple[str, ...]) -> None:
    done = llm(function, tmp_path, function.key, *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{TEXT}\n", "")


@needs_python_clients
def test_llm_shows_what_is_wrong(function: RunningFunction, model: ScriptedUpstream, tmp_path: Path) -> None:
    done = llm(function, tmp_path, "wrong-key")
    assert (done.returncode, done.stdout) == (1, "")
    assert ERRORS["invalid_credentials"].what in done.stderr
    assert model.calls == []
