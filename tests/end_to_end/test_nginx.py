"""deploy/nginx.conf under a real nginx: what streams are to their readers is the same through it."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.nginx import EXAMPLE, PROGRAM, nginx
from tests.support.resuming_client import Reading, ResumingClient
from tests.support.running_function import NO_TLS, RunningFunction, running_function
from tests.support.scripted_upstream import CLOSE, HANG, RESET, STREAM_HEAD, ScriptedUpstream, Step, answer, chunk
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")

BODY: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "stream": True}
TEXT = EXAMPLE.read_text(encoding="utf-8")
BARE = "".join(line for line in TEXT.splitlines(keepends=True) if "buffering off" not in line and "http_version" not in line)
DEAF = BARE.replace("proxy_set_header", "proxy_ignore_headers X-Accel-Buffering;\nproxy_set_header")
PIECES = ("one", " two", " three")


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream) -> Iterator[RunningFunction]:
    provider = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": shared_upstream.url}
    with running_function({**provider, "RESUME_GRACE_SECONDS": "0"}) as function:
        yield function


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def port(function: RunningFunction, folder: Path) -> Iterator[int]:
    """The example's."""
    with nginx(folder, function.port, TEXT) as port:
        yield port


def client(function: RunningFunction, port: int, timeout: float = 20) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=function.headers, timeout=timeout, verify=NO_TLS)


class Conversation:
    """A script that sends each piece only when its reader has the one before: pieces that wait together would never end."""

    def __init__(self) -> None:
        self.heard = threading.Semaphore(0)

    def __call__(self, _: Any) -> Iterator[Step]:
        yield STREAM_HEAD
        for piece in PIECES:
            yield chunk(piece)
            self.heard.acquire(timeout=2)  # a reader who gets nothing has given up by then
        yield from answer()[2:]


def test_each_piece_passes_as_it_comes(function: RunningFunction, upstream: ScriptedUpstream, port: int) -> None:
    assert read(function, port, upstream).endswith(b"data: [DONE]\n\n")


def test_each_piece_passes_an_nginx_that_was_told_nothing_but_the_address(
    function: RunningFunction, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    with nginx(tmp_path, function.port, BARE) as port:
        assert read(function, port, upstream).endswith(b"data: [DONE]\n\n")


def test_pieces_would_be_held_but_for_the_header(
    function: RunningFunction, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    with nginx(tmp_path, function.port, DEAF) as port, pytest.raises(httpx.ReadTimeout):
        read(function, port, upstream, timeout=1)


def read(function: RunningFunction, port: int, upstream: ScriptedUpstream, timeout: float = 20) -> bytes:
    """The whole stream, each of its pieces acknowledged to upstream."""
    upstream.script = talk = Conversation()  # type: ignore[assignment]
    received = b""
    with client(function, port, timeout) as http, http.stream("POST", "/v1/chat/completions", json=BODY) as reply:
        coming = reply.iter_raw()
        for piece in PIECES:
            while f'"{piece}"'.encode() not in received:
                received += next(coming)
            talk.heard.release()
        return received + b"".join(coming)


def test_broken_response_is_not_made_whole(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    head = STREAM_HEAD.replace(b"connection: close", b"transfer-encoding: chunked")
    upstream.script = [head, b"9\r\ndata: 1\n\n\r\n", CLOSE]
    with nginx(tmp_path, upstream.port, TEXT) as port, pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"http://127.0.0.1:{port}/chat", json={})


def test_stream_that_was_dropped_goes_on_behind_nginx(
    function: RunningFunction, upstream: ScriptedUpstream, port: int
) -> None:
    upstream.script = answer(*PIECES)
    with ResumingClient(port, function.key) as http:
        whole = http.read_whole(BODY, uuid.uuid4().hex)
        rest = Reading(stream_id=whole.stream_id, frames=whole.frames[:2])
        http.read_on(rest)

    assert whole.text == "".join(PIECES)
    assert rest.raw == whole.raw
    assert len(upstream.calls) == 1


def test_reader_that_leaves_nginx_leaves_the_model(function: RunningFunction, upstream: ScriptedUpstream, port: int) -> None:
    upstream.script = [STREAM_HEAD, chunk("one"), HANG]
    with client(function, port) as http, http.stream("POST", "/v1/chat/completions", json=BODY) as reply:
        next(reply.iter_raw())

    assert upstream.calls[0].closed.wait(10)


def test_refusals_are_the_function_s_own(function: RunningFunction, upstream: ScriptedUpstream, port: int) -> None:
    upstream.script = [RESET]
    with client(function, port) as http:
        refused = http.post("/v1/chat/completions", json=BODY, headers={"Authorization": "Bearer another"})
        failed = http.post("/v1/chat/completions", json=BODY)

    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_credentials")
    assert (failed.status_code, failed.json()["error"]["code"]) == (502, "upstream_unavailable")


def test_body_beyond_nginx_s_own_limit_passes(function: RunningFunction, upstream: ScriptedUpstream, port: int) -> None:
    long = {**BODY, "stream": False, "messages": [{"role": "user", "content": "x" * 3_000_000}]}
    with client(function, port) as http:
        assert http.post("/v1/chat/completions", json=long).status_code == 200
    assert upstream.calls


def test_tickets_and_messages_stay_out_of_its_log(
    function: RunningFunction, upstream: ScriptedUpstream, port: int, folder: Path
) -> None:
    with client(function, port) as http:
        ticket = http.post("/v1/tickets", json={"route": "/chat/stream"}).json()["ticket"]
        told = http.get("/chat/stream", params={"token": ticket, "message": "private"})

    assert '"type":"complete"' in told.text
    access_log = folder / "access.log"
    # It is written after the answer.
    until(lambda: "/chat/stream" in access_log.read_text(), "nginx's line of the request")
    log = access_log.read_text()
    assert "private" not in log
    assert ticket not in log
    assert upstream.calls
