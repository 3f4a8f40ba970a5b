"""What the function logs, read from the log of the running function: as on Cloud Run, and elsewhere."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.entries import SAMPLED, SPAN, TRACE, Entry, GrowingLog, named
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import RESET, Script, ScriptedUpstream, answer, response

PATH = "/v1/chat/completions"
AGENTS = """
[providers.first]
base_url = "{url}"
api_key_env = "FIRST_KEY"
[providers.openai]
base_url = "{url}"
api_key_env = "OPENAI_API_KEY"
[[agents]]
id = "assistant"
provider = "openai"
model = "model-9"
[[agents]]
id = "twofold"
provider = "first"
model = "first-model"
fallbacks = [{{provider = "openai", model = "model-9"}}]
"""
ON_CLOUD_RUN = {"K_SERVICE": "sluice", "GOOGLE_CLOUD_PROJECT": "a-project", "LOG_LEVEL": "DEBUG"}

W3C = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
GOOGLE = {"X-Cloud-Trace-Context": f"{'ab' * 16}/{0xCDCDCDCDCDCDCDCD};o=1"}
TRACED = {TRACE: f"projects/a-project/traces/{'ab' * 16}", SPAN: "cd" * 8, SAMPLED: True}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def upstream_environment(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    agents = tmp_path_factory.mktemp("agents") / "agents.toml"
    agents.write_text(AGENTS.format(url=upstream.url))
    return {"AGENTS_FILE": str(agents), "OPENAI_API_KEY": "sk-of-upstream-0123", "FIRST_KEY": "sk-of-first-0123"}


@pytest.fixture(scope="module")
def function(upstream_environment: dict[str, str]) -> Iterator[RunningFunction]:
    with running_function({**ON_CLOUD_RUN, **upstream_environment}) as function:
        yield function


@pytest.fixture(scope="module")
def log(function: RunningFunction) -> GrowingLog:
    return GrowingLog(function.log_file)


@pytest.fixture(scope="module")
def client(function: RunningFunction) -> Iterator[httpx.Client]:
    with function.client() as client:
        yield client


def ask(client: httpx.Client, headers: dict[str, str] | None = None, path: str = PATH, **body: Any) -> httpx.Response:
    question = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], **body}
    return client.post(path, json=question, headers=headers)


def entries_of(log: GrowingLog, reply: httpx.Response) -> list[Entry]:
    return log.entries_of(reply.headers["x-request-id"])


def assert_traced(entries: Sequence[Entry], reply: httpx.Response) -> None:
    for entry in entries:
        assert {name: entry.get(name) for name in TRACED} == TRACED, entry
        assert entry["correlation_id"] == reply.headers["x-correlation-id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["time"])


@pytest.mark.parametrize("headers", [W3C, GOOGLE], ids=["traceparent", "X-Cloud-Trace-Context"])
@pytest.mark.parametrize("stream", [True, False])
def test_every_entry_of_a_good_answer_is_traced(
    client: httpx.Client, log: GrowingLog, upstream: ScriptedUpstream, headers: dict[str, str], stream: bool
) -> None:
    upstream.script = answer("one", " two")
    reply = ask(client, headers, path=f"{PATH}?colour=hidden-in-the-query", stream=stream)
    entries = entries_of(log, reply)
    events = [entry["event"] for entry in entries]
    assert events.count("request_received") == events.count("response_complete") == 1
    assert "chunk_sent" in events
    assert "error_occurred" not in events
    assert_traced(entries, reply)
    assert {entry["stream_id"] for entry in named(entries, "chunk_sent")} == {
        named(entries, "response_complete")[0]["stream_id"]
    }
    assert "hidden-in-the-query" not in "".join(log.lines)


BREAK: Script = [*answer("kept")[:3], 0.05, RESET]
REFUSAL = response("401 No", b"{}")


@pytest.mark.parametrize("headers", [W3C, GOOGLE], ids=["traceparent", "X-Cloud-Trace-Context"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("script", "code"), [(BREAK, "upstream_truncated"), (REFUSAL, "upstream_auth_failed")])
def test_failure_on_the_pump_is_one_traced_entry_with_what_to_do(
    client: httpx.Client,
    log: GrowingLog,
    upstream: ScriptedUpstream,
    headers: dict[str, str],
    stream: bool,
    script: Script,
    code: str,
) -> None:
    upstream.script = script
    reply = ask(client, headers, stream=stream)
    entries = entries_of(log, reply)
    (error,) = named(entries, "error_occurred")
    (complete,) = named(entries, "response_complete")
    assert error["error_type"] == complete["error_type"] == code
    assert error["recovery_action"]
    assert error["stream_id"] == complete["stream_id"]
    assert error["severity"] == "ERROR"
    assert complete["status"] == reply.status_code
    assert complete["client_disconnected"] is False
    assert_traced(entries, reply)


def test_fallback_and_retry_are_traced_and_no_errors_when_they_help(
    client: httpx.Client, log: GrowingLog, upstream: ScriptedUpstream
) -> None:
    scripts = [response("500 No", b"{}"), response("503 No", b"{}"), answer("at last")]
    upstream.script = lambda _: scripts.pop(0)
    reply = ask(client, W3C, model="twofold", stream=True)
    entries = entries_of(log, reply)
    assert [entry["error_type"] for entry in named(entries, "fell_back")] == ["upstream_unavailable"]
    assert [entry["error_type"] for entry in named(entries, "retried")] == ["upstream_overloaded"]
    assert named(entries, "error_occurred") == []
    assert_traced(entries, reply)


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        ("wrong", {}, 401, "invalid_credentials"),
        (None, {"model": "nobody"}, 404, "model_not_found"),
        (None, {"messages": []}, 400, "invalid_request"),
    ],
)
def test_refusal_is_one_traced_entry_with_what_to_do(
    client: httpx.Client, log: GrowingLog, key: str | None, body: dict[str, Any], status: int, code: str
) -> None:
    reply = ask(client, {**W3C, **({"Authorization": f"Bearer {key}"} if key else {})}, **body)
    entries = entries_of(log, reply)
    assert [entry["event"] for entry in entries] == ["request_received", "error_occurred", "response_complete"]
    _, error, complete = entries
    assert error["error_type"] == complete["error_type"] == code
    assert (error["status"], complete["status"]) == (status, status)
    assert error["recovery_action"]
    assert error["severity"] == "WARNING"
    assert_traced(entries, reply)


WORDS = st.text(min_size=1, max_size=30)
TOKENS = st.integers(0, 10**9)


@given(
    messages=st.lists(WORDS, min_size=1, max_size=5),
    pieces=st.lists(WORDS, min_size=1, max_size=8),
    tokens=st.tuples(TOKENS, TOKENS),
    finish=st.sampled_from(("stop", "length")),
    stream=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_request_metadata_and_timing_are_logged(
    client: httpx.Client,
    log: GrowingLog,
    upstream: ScriptedUpstream,
    messages: list[str],
    pieces: list[str],
    tokens: tuple[int, int],
    finish: str,
    stream: bool,
) -> None:
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    told = answer(*pieces)
    told[-4] = told[-4].replace(b'"stop"', json.dumps(finish).encode()) if isinstance(told[-4], bytes) else told[-4]
    told[-3] = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    upstream.script = told
    reply = ask(client, messages=[{"role": "user", "content": text} for text in messages], stream=stream)
    entries = entries_of(log, reply)
    (complete,) = named(entries, "response_complete")
    expected = {
        "gen_ai.request.model": "model-9",
        "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
        "gen_ai.response.finish_reasons": [finish],
        "stream": stream,
        "message_count": len(messages),
        "chunks": len(pieces),
        "status": 200,
        "user": "alice",
        "agent": "assistant",
        "client_disconnected": False,
    }
    assert {name: complete[name] for name in expected} == expected
    assert complete["stream_id"]
    assert 0 <= complete["time_to_first_token_ms"] <= complete["generation_ms"] <= complete["duration_ms"]
    assert complete["httpRequest"]["responseSize"] == str(len(reply.content))
    assert len(named(entries, "request_received")) == 1


def test_warnings_of_the_start_are_json_on_cloud_run() -> None:
    with running_function({**ON_CLOUD_RUN, "API_KEYS": "[]", "DEMO_AGENT": "false"}) as function:
        entries = [json.loads(line) for line in GrowingLog(function.log_file).read_on()]
    warned = {entry["event"]: entry["severity"] for entry in entries}
    assert (warned["no_keys"], warned["no_agents"]) == ("WARNING", "WARNING")


READABLE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (DEBUG|INFO|WARNING|ERROR) [a-z_.]+ \S.*")


def test_elsewhere_an_entry_is_one_readable_line(upstream: ScriptedUpstream, upstream_environment: dict[str, str]) -> None:
    upstream.script = BREAK
    with running_function({**upstream_environment, "API_KEYS_FILE": ""}) as function:
        log = GrowingLog(function.log_file)
        with function.client() as client:
            reply = ask(client, W3C, stream=True)
        lines = log.until_complete(reply.headers["x-request-id"])
    assert all(READABLE.fullmatch(line) for line in lines), lines
    mine = [line for line in lines if f"correlation_id={reply.headers['x-correlation-id']}" in line]
    assert [line.split()[2] for line in mine] == [
        "request_received",
        "sluice.upstream",
        "error_occurred",
        "response_complete",
    ]
    assert all(f"trace={'ab' * 16}" in line for line in mine)
