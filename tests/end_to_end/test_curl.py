"""curl against the function: the wire as it is, and when each part of it arrives."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from sluice_wire.decoder import Decoder
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import ScriptedUpstream, answer

PATH = "/v1/chat/completions"


def command(function: RunningFunction, path: str, *options: str, key: str | None = None) -> list[str]:
    credentials = ["-H", f"Authorization: Bearer {key or function.key}"]
    return ["curl", "-sS", "-N", "--noproxy", "*", "--max-time", "20", *credentials, *options, function.url + path]


def posted(**body: Any) -> list[str]:
    question = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], **body}
    return ["-H", "Content-Type: application/json", "-d", json.dumps(question)]


def run(function: RunningFunction, path: str, *options: str, key: str | None = None) -> tuple[int, str]:
    """The status and the body."""
    arguments = command(function, path, "-w", "\n%{http_code}", *options, key=key)
    output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    body, _, status = output.rpartition("\n")
    return int(status), body


def reads(arguments: list[str]) -> Iterator[tuple[float, bytes]]:
    """What curl writes, as it writes it, and when."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        while data := os.read(curl.stdout.fileno(), 65536):
            yield time.monotonic(), data
        assert curl.wait(10) == 0


def test_stream_arrives_as_it_is_told(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("first", "second", "third", pause=0.3)
    arrived = list(reads(command(function, PATH, *posted(stream=True))))
    moments = [next(at for at, data in arrived if word in data) for word in (b"first", b"second", b"third")]
    assert all(0.2 < later - earlier < 1 for earlier, later in pairwise(moments))
    raw = b"".join(data for _, data in arrived)
    assert {line[:6] for line in raw.splitlines() if line} == {b"data: "}
    assert raw.endswith(b"\n\ndata: [DONE]\n\n")
    events = [json.loads(event.data) for event in Decoder().feed(raw) if event.data != "[DONE]"]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == "firstsecondthird"


@pytest.mark.usefixtures("upstream")
def test_plain_answer_is_one_object(function: RunningFunction) -> None:
    status, body = run(function, PATH, *posted())
    assert status == 200
    assert json.loads(body)["choices"][0]["message"] == {"role": "assistant", "content": "Hello world"}


@pytest.mark.usefixtures("upstream")
def test_response_tells_its_ids(function: RunningFunction) -> None:
    _, output = run(function, PATH, "-D", "-", "-H", "X-Correlation-Id: from-curl", *posted(stream=True))
    head = dict(line.lower().split(": ", 1) for line in output.split("\n\n")[0].splitlines()[1:] if ": " in line)
    assert head["x-correlation-id"] == "from-curl"
    assert head["content-type"] == "text/event-stream; charset=utf-8"
    assert head["x-stream-id"] in output.partition("chatcmpl-")[2][:32]
    assert head["x-request-id"]


def test_health_needs_no_key(function: RunningFunction) -> None:
    status, body = run(function, "/health", key="wrong")
    assert (status, json.loads(body)["status"]) == (200, "healthy")


def test_wrong_key_is_401_that_says_what_to_do(function: RunningFunction) -> None:
    status, body = run(function, PATH, *posted(stream=True), key="wrong")
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (401, "invalid_credentials")
    assert error["message"]
    assert error["action"]
