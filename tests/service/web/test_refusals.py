"""What the service refuses, and that it stays whole: credentials, addresses, methods, bodies."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.quotas.base import Limits
from sluice_service.web.auth import Keys, Principal
from sluice_wire.errors import SluiceError
from tests.support.running_function import RunningFunction, key_entry, running_function

PATH = "/v1/chat/completions"
GOOD: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}


def post(function: RunningFunction, content: bytes | str, **headers: str) -> httpx.Response:
    with function.client() as client:
        return client.post(PATH, content=content, headers={"content-type": "application/json", **headers})


def error_of(reply: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = reply.json()["error"]
    assert error.keys() == {
        "message", "type", "param", "code", "reason", "action", "retryable", "correlation_id",
    }  # fmt: skip
    assert all(error[part] for part in ("message", "type", "code", "reason", "action", "correlation_id"))
    return error


def keys_of(key: str) -> Keys:
    return Keys([(bytes.fromhex(str(key_entry(key, "alice")["sha256"])), Principal("alice", ("*",), Limits()))])


@given(key=st.text(min_size=1).filter(lambda key: key == key.strip()), data=st.data())
@settings(max_examples=200, deadline=None)
def test_authorization_is_case_insensitive(key: str, data: st.DataObject) -> None:
    scheme = "".join(data.draw(st.sampled_from((letter.lower(), letter.upper()))) for letter in "bearer")
    as_wsgi_gives_it = key.encode("utf-8", "surrogatepass").decode("latin-1")
    if as_wsgi_gives_it != as_wsgi_gives_it.strip() or "\ud800" <= max(key) <= "\udfff":
        return
    assert keys_of(key).authenticate(f"{scheme} {as_wsgi_gives_it}").user == "alice"


@given(st.text(alphabet=st.characters(max_codepoint=255)))
@settings(max_examples=200, deadline=None)
def test_any_other_authorization_is_refused(header: str) -> None:
    with pytest.raises(SluiceError) as refused:
        keys_of("the only key").authenticate(header)
    assert refused.value.code in ("missing_credentials", "invalid_credentials")


def test_header_name_and_scheme_are_case_insensitive_over_the_wire(function: RunningFunction) -> None:
    for name, scheme in (("authorization", "bearer"), ("AUTHORIZATION", "BEARER"), ("Authorization", "BeArEr")):
        reply = httpx.get(f"{function.url}/v1/models", headers={name: f"{scheme} {function.key}"})
        assert reply.status_code == 200


def test_missing_and_wrong_keys_are_401_that_say_what_to_do(function: RunningFunction) -> None:
    missing = httpx.post(function.url + PATH, json=GOOD)
    assert (missing.status_code, error_of(missing)["code"]) == (401, "missing_credentials")
    assert missing.headers["www-authenticate"] == 'Bearer realm="sluice"'
    assert missing.headers["x-should-retry"] == "false"
    for header in ("Bearer wrong", "Bearer", "Basic abc", f"Token {function.key}", "Bearer kéy"):
        wrong = httpx.post(function.url + PATH, json=GOOD, headers=[(b"Authorization", header.encode())])
        assert (wrong.status_code, error_of(wrong)["code"]) == (401, "invalid_credentials")
        assert "invalid_token" in wrong.headers["www-authenticate"]


def test_unknown_address_needs_a_key_before_it_is_said_to_be_unknown(function: RunningFunction) -> None:
    assert httpx.get(f"{function.url}/nowhere").status_code == 401
    with function.client() as client:
        reply = client.get("/nowhere")
    assert (reply.status_code, error_of(reply)["code"]) == (404, "not_found")


def test_wrong_method_is_405_with_allow(function: RunningFunction) -> None:
    with function.client() as client:
        reply = client.get(PATH)
    assert (reply.status_code, error_of(reply)["code"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"


def test_unknown_agent_is_404_that_names_where_to_look(function: RunningFunction) -> None:
    reply = post(function, json.dumps({**GOOD, "model": "nobody"}))
    error = error_of(reply)
    assert (reply.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "nobody" in error["message"]
    assert "/v1/models" in error["action"]


def test_model_is_parsed_as_the_agent_id(function: RunningFunction) -> None:
    reply = post(function, json.dumps(GOOD))
    assert reply.json()["model"] == "demo"
    with function.client() as client:
        assert client.get("/v1/models/demo").json()["id"] == "demo"
        assert client.get("/v1/models/nobody").status_code == 404


BAD_BODIES: list[tuple[str, bytes, str | None]] = [
    ("empty", b"", "body"),
    ("not JSON", b"{nope", "body"),
    ("NaN", b'{"model":"demo","messages":[],"temperature":NaN}', "body"),
    ("lone surrogate", b'{"model":"demo","messages":[{"role":"user","content":"\\ud800"}]}', "body"),
    ("invalid UTF-8", b'{"model":"\xff"}', "body"),
    ("not an object", b"[]", "body"),
    ("100,000 nested lists", b"[" * 100_000 + b"]" * 100_000, "body"),
    ("deep, but parseable", b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "body"),
    ("no model", b'{"messages":[{"role":"user","content":"hi"}]}', "model"),
    ("model of another type", b'{"model":7,"messages":[{"role":"user","content":"hi"}]}', "model"),
    ("no messages", b'{"model":"demo"}', "messages"),
    ("empty messages", b'{"model":"demo","messages":[]}', "messages"),
    ("messages of another type", b'{"model":"demo","messages":"hi"}', "messages"),
    ("unknown role", b'{"model":"demo","messages":[{"role":"king","content":"hi"}]}', "messages[0].role"),
    ("stream of another type", b'{"model":"demo","messages":[{"role":"user"}],"stream":"yes"}', "stream"),
]


@pytest.mark.parametrize(("body", "param"), [case[1:] for case in BAD_BODIES], ids=[case[0] for case in BAD_BODIES])
def test_bad_body_is_400_that_names_the_field(function: RunningFunction, body: bytes, param: str) -> None:
    reply = post(function, body)
    assert (reply.status_code, error_of(reply)["code"]) == (400, "invalid_request")
    assert error_of(reply)["param"] == param


def test_other_media_types_are_415(function: RunningFunction) -> None:
    reply = post(function, json.dumps(GOOD), **{"content-type": "text/plain"})
    assert (reply.status_code, error_of(reply)["code"]) == (415, "unsupported_media_type")


def worker_memory_bytes(function: RunningFunction) -> int:
    """Resident memory of the server's processes together."""
    children = Path(f"/proc/{function.process.pid}/task/{function.process.pid}/children").read_text().split()
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (function.process.pid, *children)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def send_endlessly(function: RunningFunction, head: str, total_bytes: int) -> bytes:
    """Send a body of so many zeros for as long as the server takes them; what it answered."""
    with socket.create_connection(("127.0.0.1", function.port), timeout=20) as connection:
        connection.sendall(head.encode())
        sent, piece = 0, b"0" * 65536
        try:
            while sent < total_bytes:
                sent += connection.send(piece)
        except OSError:
            pass
        try:
            return connection.recv(65536)
        except OSError:
            return b""


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
@pytest.mark.parametrize(("authorized", "status"), [(True, 413), (False, 401)])
def test_huge_bodies_are_refused_unread_and_memory_stays_flat(
    function: RunningFunction, framing: str, authorized: bool, status: int
) -> None:
    key = function.key if authorized else "wrong"
    length = "content-length: 400000000" if framing == "content-length" else "transfer-encoding: chunked"
    first_chunk = "17D78400\r\n" if framing == "chunked" else ""
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    before = worker_memory_bytes(function)
    answer = send_endlessly(function, f"{head}{length}\r\n\r\n{first_chunk}", 60_000_000)
    assert worker_memory_bytes(function) - before < 24_000_000
    if answer:  # a peer that goes on sending may see the connection reset before it can read
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_body_larger_than_the_bound_is_413(function: RunningFunction) -> None:
    reply = post(function, b" " * (9 << 20))
    assert (reply.status_code, error_of(reply)["code"]) == (413, "request_too_large")


def test_correlation_id_is_the_callers_where_it_is_sane(function: RunningFunction) -> None:
    def told(**headers: str) -> str:
        return httpx.get(f"{function.url}/health", headers=headers).headers["x-correlation-id"]

    assert told(**{"X-Correlation-Id": "abc-1", "X-Request-Id": "r"}) == "abc-1"
    assert told(**{"X-Request-Id": "r-2"}) == "r-2"
    for insane in ("a b", "x" * 129, ""):
        assert told(**{"X-Correlation-Id": insane}) not in ("", insane)


def test_request_id_is_new_each_time(function: RunningFunction) -> None:
    ids = {httpx.get(f"{function.url}/health").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_health_needs_no_key_and_tells_the_version(function: RunningFunction) -> None:
    body = httpx.get(f"{function.url}/health").json()
    assert body["status"] == "healthy"
    assert body["features"] == {"streaming": True}
    assert body["timestamp"].endswith("Z")


RESTRICTED = [key_entry("narrow", "bob", agents=["other"])]


def test_key_restricted_to_agents_gets_403_and_an_empty_list() -> None:
    with running_function({"API_KEYS": json.dumps(RESTRICTED)}) as function:
        narrow = {"Authorization": "Bearer narrow"}
        reply = httpx.post(function.url + PATH, json=GOOD, headers=narrow)
        assert (reply.status_code, error_of(reply)["code"]) == (403, "permission_denied")
        assert httpx.get(f"{function.url}/v1/models", headers=narrow).json()["data"] == []


def test_without_any_key_every_call_is_refused_and_the_log_says_so() -> None:
    with running_function({"API_KEYS": "[]"}) as function:
        assert httpx.get(f"{function.url}/v1/models", headers=function.headers).status_code == 401
        function.wait_for_log("No API keys are set")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"THREADS": "many"}, "THREADS is 'many'"),
        ({"TIMEOUT_SECONDS": "0"}, "TIMEOUT_SECONDS is '0'"),
        ({"API_KEYS": "{secret"}, "API_KEYS does not hold keys"),
        ({"API_KEYS_FILE": "/nowhere"}, "API_KEYS_FILE cannot be read"),
        ({"AGENTS_FILE": "/nowhere"}, "/nowhere"),
    ],
)
def test_setting_out_of_range_stops_the_start_by_name(environment: dict[str, str], said: str) -> None:
    with pytest.raises(AssertionError) as failed, running_function(environment):
        pass
    assert said in str(failed.value)
    assert "secret" not in str(failed.value).replace("hidden", "")


def test_cors_preflight_and_origins() -> None:
    with running_function({"CORS_ORIGINS": "https://good.example, https://too.example"}) as function:
        ask = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "authorization, content-type"}  # fmt: skip
        preflight = httpx.options(function.url + PATH, headers=ask)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://good.example"
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        assert "POST" in preflight.headers["access-control-allow-methods"]
        refused = httpx.options(function.url + PATH, headers={**ask, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers
        plain = httpx.get(f"{function.url}/health", headers={"Origin": "https://too.example"})
        assert plain.headers["access-control-allow-origin"] == "https://too.example"
        assert "access-control-allow-credentials" not in plain.headers


def unfinished_body(function: RunningFunction) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", function.port))
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {function.key}\r\n"
    connection.sendall(f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{".encode())
    return connection


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_beyond_capacity_requests_are_refused_at_once_and_health_still_answers() -> None:
    with running_function({"THREADS": "36"}) as function:
        held = [unfinished_body(function) for _ in range(4)]
        assert until(lambda: function.log().count(f"request_received POST {PATH}") == 4)
        started = time.monotonic()
        refused = post(function, json.dumps(GOOD))
        assert (refused.status_code, error_of(refused)["code"]) == (503, "over_capacity")
        assert refused.headers["retry-after"] == "1"
        assert httpx.get(f"{function.url}/health").status_code == 200
        assert time.monotonic() - started < 1
        for connection in held:
            connection.close()
        assert until(lambda: post(function, json.dumps(GOOD)).status_code == 200)
