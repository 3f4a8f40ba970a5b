"""deploy/smoke_test.sh, against the real function, and against whatever else could stand at its address."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from pytest_httpserver import HTTPServer

from tests.deploy.conftest import ROOT
from tests.support.running_function import RunningFunction, running_function

HEALTHY = {"status": "healthy"}
CHUNK = 'data: {"choices": [{"delta": {"content": "word"}}]}\n\n'
REFUSED = {"error": {"code": "missing_credentials"}}
MODELS = {"object": "list", "data": [{"id": "the-first", "object": "model"}, {"id": "another", "object": "model"}]}
COMPLETIONS = "/v1/chat/completions"


@pytest.fixture(scope="module")
def function() -> Iterator[RunningFunction]:
    with running_function({"DEMO_TOKENS_PER_SECOND": "200"}) as function:
        yield function


def smoke_test(url: str, key: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(ROOT / "deploy" / "smoke_test.sh"), url, *arguments]
    known = {**os.environ, "SLUICE_API_KEY": key, "SMOKE_TEST_PATIENCE_SECONDS": "1", **environment}
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=60)


def assert_fails(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode == 1, done.stdout
    for part in ("FAILED: ", "why: ", "what to do: ", *words):
        assert part in done.stderr, done.stderr


def serve_stream(server: HTTPServer, body: str, content_type: str = "text/event-stream") -> None:
    """What a service answers that is well, but for its stream."""
    server.expect_request("/health").respond_with_json(HEALTHY)
    server.expect_request("/v1/models").respond_with_json(MODELS)
    with_key = {"Authorization": "Bearer a-key"}
    server.expect_request(COMPLETIONS, headers=with_key).respond_with_data(body, content_type=content_type)
    server.expect_request(COMPLETIONS).respond_with_json(REFUSED, 401)


@contextmanager
def buffering_proxy(target: str) -> Iterator[str]:
    """A proxy that takes every answer whole before it passes it on."""

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = Request(target + self.path, body or None, dict(self.headers.items()), method=self.command)
            try:
                reply: Any = urlopen(request, timeout=30)
            except HTTPError as refusal:
                reply = refusal
            with reply:
                whole = reply.read()
            self.send_response(reply.status)
            self.send_header("content-type", reply.headers["content-type"])
            self.send_header("content-length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Nothing: a test's own words are enough."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_the_function_passes(function: RunningFunction) -> None:
    done = smoke_test(function.url, function.key)

    assert (done.returncode, done.stdout.count("ok: ")) == (0, 3), done.stderr


def test_its_key_is_neither_printed_nor_on_a_command_line(function: RunningFunction) -> None:
    done = smoke_test(function.url, function.key)

    assert function.key not in done.stdout + done.stderr
    script = (ROOT / "deploy" / "smoke_test.sh").read_text(encoding="utf-8")
    assert [line.strip().split()[0] for line in script.splitlines() if '"$SLUICE_API_KEY"' in line] == ["(umask"]


def test_a_proxy_that_buffers_is_told(function: RunningFunction) -> None:
    with buffering_proxy(function.url) as url:
        done = smoke_test(url, function.key)

    assert_fails(done, "arrived all at once", "a proxy that buffers", "proxy_buffering off")


def test_a_key_that_is_not_known_is_told(function: RunningFunction) -> None:
    assert_fails(smoke_test(function.url, "another-key"), "The key in SLUICE_API_KEY is not known")


def test_without_a_name_the_agent_is_the_first_that_is_offered(httpserver: HTTPServer) -> None:
    serve_stream(httpserver, CHUNK + "data: [DONE]\n\n")

    smoke_test(httpserver.url_for("/"), "a-key")

    asked = [request.get_json() for request, _ in httpserver.log if request.path == COMPLETIONS]
    assert [question["model"] for question in asked] == ["the-first", "the-first"]


def test_an_address_that_is_not_there_yet_and_then_an_older_revisions_is_waited_for(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/health").respond_with_data("<h1>no such service</h1>", 404)
    httpserver.expect_ordered_request("/health").respond_with_json(HEALTHY)
    httpserver.expect_ordered_request("/v1/models").respond_with_json(REFUSED, 401)
    httpserver.expect_ordered_request("/v1/models").respond_with_json(MODELS)
    httpserver.expect_ordered_request(COMPLETIONS).respond_with_json(REFUSED, 401)

    done = smoke_test(httpserver.url_for("/"), "a-key", SMOKE_TEST_PATIENCE_SECONDS="20")

    # It came to the last request, for which nothing is served here.
    assert done.stdout.count("ok: ") == 2, done.stderr
    assert_fails(done, "The streamed request got 500")


def test_an_agent_that_is_not_there_is_told(function: RunningFunction) -> None:
    assert_fails(smoke_test(function.url, function.key, "nobody"), "The streamed request got 404", "model_not_found")


def test_nobody_at_the_address_is_told(function: RunningFunction) -> None:
    assert_fails(smoke_test("http://127.0.0.1:1", function.key), "got no answer", "Check the address")


def test_streaming_that_is_off_has_to_be_off(function: RunningFunction) -> None:
    with running_function({"ENABLE_STREAMING": "false", "DEMO_TOKENS_PER_SECOND": "200"}) as off:
        assert smoke_test(off.url, off.key, ENABLE_STREAMING="false").returncode == 0
        assert_fails(smoke_test(off.url, off.key), "The streamed request got 400")

    assert_fails(smoke_test(function.url, function.key, ENABLE_STREAMING="false"), "not the error streaming_disabled")


@pytest.mark.parametrize(
    ("health", "status", "words"),
    [
        ({"status": "sick"}, 401, "not the health of a Sluice function"),
        (HEALTHY, 200, "Whoever finds the address could use it"),
        (HEALTHY, 403, "roles/run.invoker"),
        (HEALTHY, 401, "401 that is not Sluice's"),
    ],
)
def test_what_is_no_open_function_with_keys_is_told(health: Any, status: int, words: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/health").respond_with_json(health)
    httpserver.expect_request("/v1/models").respond_with_json(MODELS)
    httpserver.expect_request(COMPLETIONS).respond_with_data("<h1>no</h1>", status)

    assert_fails(smoke_test(httpserver.url_for("/"), "a-key"), words)


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (CHUNK * 9, "text/event-stream", "without data: [DONE]"),
        (CHUNK * 9 + 'data: {"error": {}}\n\n', "text/event-stream", "ended with an error"),
        (CHUNK + "data: [DONE]\n\n", "text/event-stream", "in 1 pieces"),
        ("<h1>hello</h1>", "text/html", "not an event stream"),
    ],
)
def test_a_stream_that_is_not_whole_is_told(body: str, content_type: str, words: str, httpserver: HTTPServer) -> None:
    serve_stream(httpserver, body, content_type)

    assert_fails(smoke_test(httpserver.url_for("/"), "a-key"), words)
