"""Every way in which an upstream fails, over a real socket."""

import gzip
import logging
import socket
import tracemalloc
import zlib

import pytest

from sluice_service.providers.failures import failure_of
from sluice_service.providers.openai_api import OpenAIProvider
from sluice_wire.chunks import ErrorChunk, InvalidChunk
from sluice_wire.decoder import EventTooLong
from sluice_wire.errors import ERRORS
from tests.service.providers.asking import a_call, ask
from tests.service.providers.conftest import KEY, MakeProvider
from tests.support.scripted_upstream import CLOSE, HANG, RESET, STREAM_HEAD, Script, ScriptedUpstream, chunk, response

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def refused(status: str, body: bytes = b"{}", *headers: str, content_type: str = "application/json") -> Script:
    return response(status, body, *headers, content_type=content_type)


def said(*frames: bytes) -> Script:
    return [STREAM_HEAD, chunk("so far"), *frames, CLOSE]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (refused("400 Bad Request", b'{"error":{"message":"no","code":"context_length_exceeded"}}'),
         "context_length_exceeded"),
        (refused("400 Bad Request", b'[{"error":{"message":"API key not valid. Pass one."}}]'), "upstream_auth_failed"),
        (refused("400 Bad Request", b'{"error":{"message":"Unknown field stream_options"}}'), "upstream_rejected"),
        (refused("401 Unauthorized"), "upstream_auth_failed"),
        (refused("402 Payment Required"), "upstream_quota_exhausted"),
        (refused("403 Forbidden"), "upstream_auth_failed"),
        (refused("404 Not Found", b"404 page not found", content_type="text/plain"), "upstream_rejected"),
        (refused("409 Conflict"), "upstream_rejected"),
        (refused("422 Unprocessable Entity"), "upstream_rejected"),
        (refused("429 Too Many Requests"), "upstream_rate_limited"),
        (refused("500 Internal Server Error", HTML, content_type="text/html"), "upstream_unavailable"),
        (refused("502 Bad Gateway", HTML, content_type="text/html; charset=hex"), "upstream_unavailable"),
        (refused("503 Service Unavailable"), "upstream_overloaded"),
        (refused("504 Gateway Timeout"), "upstream_unavailable"),
        (refused("529 Overloaded"), "upstream_overloaded"),
        (refused("401 Unauthorized", b"not gzip", "content-encoding: gzip"), "upstream_auth_failed"),
        (refused("401 Unauthorized", b"[" * 60_000), "upstream_auth_failed"),
        (refused("302 Found", b"", "location: http://127.0.0.1:9/v1/"), "upstream_invalid_response"),
        (refused("200 OK", HTML, content_type="text/html"), "upstream_invalid_response"),
        (refused("200 OK", b"data: {}", content_type=""), "upstream_invalid_response"),
        (refused("204 No Content", b""), "upstream_invalid_response"),
        (refused("200 OK", b"x", "content-encoding: br", content_type="text/event-stream"), "upstream_invalid_response"),
        (refused("200 OK", b"not gzip", "content-encoding: gzip", content_type="text/event-stream"),
         "upstream_invalid_response"),
        ([b"SSH-2.0-OpenSSH_9.6\r\n", CLOSE], "upstream_unavailable"),
        ([CLOSE], "upstream_unavailable"),
        ([RESET], "upstream_unavailable"),
        ([b"HTTP/1.1 200 OK\r\ncontent-ty", RESET], "upstream_unavailable"),
        ([b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 99\r\n\r\n{", RESET], "upstream_auth_failed"),
    ],
)  # fmt: skip
async def test_refusal_before_an_answer_has_its_code(
    upstream: ScriptedUpstream, provider: OpenAIProvider, script: Script, code: str
) -> None:
    upstream.script = script

    told = await ask(provider)

    assert told.code == code
    assert told.events == []
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (said(b"data: {not json}\n\n"), "upstream_invalid_response"),
        (said(b'data: {"choices": 7}\n\n'), "upstream_invalid_response"),
        (said(b'data: "text"\n\n'), "upstream_invalid_response"),
        (said(b'data: {"choices":[{"index":0,"delta":{"content":"a","score":NaN}}]}\n\n'), "upstream_invalid_response"),
        (said(b'data: {"choices":[{"index":0,"delta":"text"}]}\n\n'), "upstream_invalid_response"),
        (said(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":7}]}\n\n'), "upstream_invalid_response"),
        (said(b"data: " + b"[" * 3000 + b"\n\n"), "upstream_invalid_response"),
        (said(b"data: " + b"x" * 200_000), "upstream_invalid_response"),
        (said(b'data: {"error":{"code":502,"message":"Provider gone"}}\n\n'), "upstream_unavailable"),
        (said(b'data: {"error":{"code":429}}\n\n'), "upstream_rate_limited"),
        (said(b'data: {"error":"it broke"}\n\n'), "upstream_unavailable"),
        (said(b'event: error\ndata: {"type":"overloaded_error","message":"Overloaded"}\n\n'), "upstream_overloaded"),
        (said(b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n'), "upstream_overloaded"),
        (said(b'data: {"error":{"code":"server_error","message":"x"},'
              b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n'), "upstream_unavailable"),
        (said(chunk(finish="error")), "upstream_unavailable"),
        ([STREAM_HEAD, chunk("so far"), 0.02, RESET], "upstream_truncated"),
        ([CHUNKED_HEAD, b"%x\r\n%b\r\n" % (len(chunk("so far")), chunk("so far")), CLOSE], "upstream_truncated"),
        ([CHUNKED_HEAD, b"%x\r\n%b\r\n" % (len(chunk("so far")), chunk("so far")), b"zz\r\n", CLOSE], "upstream_truncated"),
    ],
)  # fmt: skip
async def test_failure_inside_an_answer_has_its_code_and_what_came_stays(
    upstream: ScriptedUpstream, make_provider: MakeProvider, script: Script, code: str
) -> None:
    upstream.script = script

    told = await ask(make_provider(upstream.url, max_event_bytes=4096))

    assert told.code == code
    assert told.text == "so far"
    assert told.reasons == []


async def test_what_came_in_the_same_bytes_as_a_failure_is_told_first(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    upstream.script = [STREAM_HEAD + chunk("kept") + b"data: {\n\n" + chunk("lost"), CLOSE]

    told = await ask(provider)

    assert (told.text, told.code) == ("kept", "upstream_invalid_response")


@pytest.mark.parametrize("ending", [b"", b"data: [DO", b'data: {"choices":[{"index":0,"delta":{"content":"!"}}]}\n'])
async def test_clean_end_without_a_finish_is_left_to_the_engine(
    upstream: ScriptedUpstream, provider: OpenAIProvider, ending: bytes
) -> None:
    upstream.script = [STREAM_HEAD, chunk("so far"), ending, CLOSE]

    told = await ask(provider)

    assert (told.text, told.reasons, told.error) == ("so far", [], None)


async def test_compressed_stream_that_turns_to_garbage_is_invalid(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    packed = gzip.compress(chunk("so far"), compresslevel=0)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n"
    upstream.script = [head, packed[:-9], b"\xff" * 40, CLOSE]

    assert (await ask(provider)).code == "upstream_invalid_response"


async def test_what_follows_the_end_of_a_compressed_answer_is_not_kept(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    packed = gzip.compress(chunk("all", "stop"))
    upstream.script = [STREAM_HEAD.replace(b"connection", b"content-encoding: gzip\r\nconnection"), packed]
    upstream.script += [bytes(65_536)] * 64 + [CLOSE]
    tracemalloc.start()

    told = await ask(provider)

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (told.text, told.error) == ("all", None)
    assert peak_bytes < 3_000_000


@pytest.mark.parametrize("header", ["Retry-After: 7", "retry-after-ms: 7000"])
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_wait_that_upstream_asks_for_is_passed_on(
    upstream: ScriptedUpstream, provider: OpenAIProvider, status: str, header: str
) -> None:
    upstream.script = refused(status, b"{}", header)

    told = await ask(provider)

    assert told.error is not None
    assert told.error.retry_after_seconds == 7


async def test_refused_connection_is_unavailable(make_provider: MakeProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert (await ask(make_provider(f"http://127.0.0.1:{port}/v1"))).code == "upstream_unavailable"


async def test_tls_to_a_server_without_it_is_unavailable(make_provider: MakeProvider, upstream: ScriptedUpstream) -> None:
    url = upstream.url.replace("http:", "https:")

    assert (await ask(make_provider(url, connect_timeout_seconds=0.2))).code == "upstream_unavailable"


@pytest.mark.parametrize("content", ["\ud800", float("nan")])
async def test_message_that_json_cannot_hold_is_rejected_and_not_logged(
    upstream: ScriptedUpstream, provider: OpenAIProvider, caplog: pytest.LogCaptureFixture, content: object
) -> None:
    told = await ask(provider, a_call([{"role": "user", "content": content}, {"role": "user", "content": "private"}]))

    assert told.code == "upstream_rejected"
    assert upstream.calls == []
    assert "private" not in caplog.text


async def test_endless_refusal_is_read_up_to_its_bound_and_told_at_once(
    upstream: ScriptedUpstream, provider: OpenAIProvider
) -> None:
    upstream.script = [b"HTTP/1.1 503 Busy\r\ncontent-type: text/plain\r\n\r\n", b"x" * 70_000, HANG]

    assert (await ask(provider)).code == "upstream_overloaded"
    assert upstream.calls[0].closed.wait(1)


async def test_what_upstream_said_is_logged_once_escaped_and_cut_and_is_not_in_the_error(
    upstream: ScriptedUpstream, provider: OpenAIProvider, caplog: pytest.LogCaptureFixture
) -> None:
    evil = f"secret \x1b[31m\r\nERROR forged ü \u202e Bearer {KEY} ".encode()
    upstream.script = refused("500 Oops", evil + b"x" * 9000, content_type="text/plain")

    with caplog.at_level(logging.WARNING, "sluice.upstream"):
        told = await ask(provider)

    (record,) = [record for record in caplog.records if record.name == "sluice.upstream"]
    line = record.getMessage()
    assert record.levelno == logging.WARNING
    assert line.isascii()
    assert line.isprintable()
    assert line.startswith("up: upstream_unavailable: ")
    assert len(line) < 2_100
    assert "secret" in line
    assert KEY not in line
    assert "secret" not in repr(told.error) + str(vars(told.error)) + str(told.error and told.error.report())


async def test_text_of_an_answer_is_never_logged(
    upstream: ScriptedUpstream, provider: OpenAIProvider, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.script = said(b'data: {"choices":[{"delta":{"content":"private"}\n\n')

    with caplog.at_level(logging.DEBUG):
        told = await ask(provider, a_call([{"role": "user", "content": "private"}]))

    assert told.code == "upstream_invalid_response"
    assert "private" not in caplog.text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidChunk("shape"), "upstream_invalid_response"),
        (EventTooLong("long"), "upstream_invalid_response"),
        (zlib.error("garbage"), "upstream_invalid_response"),
        (ErrorChunk({"code": 429}), "upstream_rate_limited"),
    ],
)
def test_every_exception_of_reading_an_answer_has_a_code(
    error: InvalidChunk | EventTooLong | ErrorChunk | zlib.error, code: str
) -> None:
    assert failure_of(error).code == code
    assert code in ERRORS
