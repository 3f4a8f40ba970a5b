"""`auth = "google"`: tokens of a service account, from a token endpoint on loopback."""

import asyncio
import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sluice_service.providers.google_auth import GoogleToken
from sluice_wire.errors import SluiceError
from tests.service.providers.asking import ask
from tests.service.providers.conftest import MakeProvider
from tests.support.running_function import free_port
from tests.support.scripted_upstream import ScriptedUpstream, response

LONG, NEARLY_OVER, OVER = 3600, 100, 0
"""Lifetimes of tokens in seconds: google-auth replaces one from 225 s before its end on."""


class TokenEndpoint:
    """Gives `token-1`, `token-2`, … while it is open, or whatever `refusal` says."""

    def __init__(self, server: HTTPServer) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.lifetime_seconds = LONG
        self.refusal: tuple[int, str] | None = None
        self.open = threading.Event()
        self.open.set()
        self.url = server.url_for("/token")
        server.expect_request("/token", method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.asked.append(parse_qs(request.get_data(as_text=True)))
        number = len(self.asked)
        assert self.open.wait(20)
        if self.refusal is not None:
            status, body = self.refusal
            return Response(body, status, content_type="application/json")
        token = {"access_token": f"token-{number}", "expires_in": self.lifetime_seconds, "token_type": "Bearer"}
        return Response(json.dumps(token), content_type="application/json")


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@pytest.fixture
def endpoint(
    httpserver: HTTPServer, private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TokenEndpoint]:
    endpoint = TokenEndpoint(httpserver)
    account = tmp_path / "account.json"
    write_account(account, private_key, endpoint.url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    yield endpoint
    endpoint.open.set()


def write_account(path: Path, private_key: str, token_uri: str) -> None:
    account = {
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "k1",
        "private_key": private_key,
        "client_email": "sluice@a-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(account), encoding="utf-8")


async def code_of(token: GoogleToken) -> str:
    with pytest.raises(SluiceError) as failed:
        await token()
    return failed.value.code


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def failures(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    fields = [record.__dict__.get("json_fields", {}) for record in caplog.records]
    return [entry for entry in fields if entry.get("event") == "google_auth_failed"]


async def test_each_call_carries_a_token_for_the_cloud_platform(
    endpoint: TokenEndpoint, upstream: ScriptedUpstream, make_provider: MakeProvider
) -> None:
    provider = make_provider(upstream.url, api_key=GoogleToken("up"))

    told = [await ask(provider), await ask(provider)]

    assert [answer.text for answer in told] == ["Hello world"] * 2
    assert [call.headers["authorization"] for call in upstream.calls] == ["Bearer token-1"] * 2
    (asked,) = endpoint.asked
    claims = json.loads(base64.urlsafe_b64decode(asked["assertion"][0].split(".")[1] + "=="))
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"


async def test_calls_that_come_at_once_share_one_refresh(endpoint: TokenEndpoint) -> None:
    token = GoogleToken("up")
    endpoint.open.clear()
    calls = [asyncio.create_task(token()) for _ in range(20)]
    await until(lambda: bool(endpoint.asked))

    endpoint.open.set()

    assert await asyncio.gather(*calls) == ["token-1"] * 20
    assert len(endpoint.asked) == 1


async def test_token_that_is_nearly_over_is_replaced_while_calls_go_on_with_it(endpoint: TokenEndpoint) -> None:
    token = GoogleToken("up")
    endpoint.lifetime_seconds = NEARLY_OVER
    await token()
    endpoint.open.clear()

    meanwhile = [await token() for _ in range(3)]
    await until(lambda: len(endpoint.asked) == 2)
    endpoint.lifetime_seconds = LONG
    endpoint.open.set()
    refreshed: list[str] = []
    while "token-2" not in refreshed:
        refreshed.append(await token())
        await asyncio.sleep(0.01)

    assert meanwhile == ["token-1"] * 3
    assert len(endpoint.asked) == 2


async def test_token_that_is_over_is_replaced_before_the_call(endpoint: TokenEndpoint) -> None:
    token = GoogleToken("up")
    endpoint.lifetime_seconds = OVER

    assert [await token() for _ in range(3)] == ["token-1", "token-2", "token-3"]


async def test_token_that_could_not_be_replaced_is_used_to_its_end(
    endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    token = GoogleToken("up")
    endpoint.lifetime_seconds = NEARLY_OVER
    await token()
    endpoint.refusal = (400, '{"error": "invalid_grant"}')

    with caplog.at_level(logging.ERROR):
        told = await token()
        await until(lambda: bool(failures(caplog)))

    assert [told, await token()] == ["token-1"] * 2


async def test_refused_refresh_is_ours_to_fix_and_gets_an_entry(
    endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    token = GoogleToken("vertex")
    endpoint.refusal = (400, '{"error": "invalid_grant", "error_description": "the account is gone"}')

    with caplog.at_level(logging.ERROR):
        code = await code_of(token)

    assert code == "upstream_auth_failed"
    (entry,) = failures(caplog)
    assert entry["provider"] == "vertex"
    assert "the account is gone" in entry["failure"]


async def test_refusal_is_told_to_every_call_that_waited_and_to_no_later_one(endpoint: TokenEndpoint) -> None:
    token = GoogleToken("up")
    endpoint.refusal = (401, '{"error": "invalid_client"}')
    endpoint.open.clear()
    calls = [asyncio.create_task(code_of(token)) for _ in range(5)]
    await until(lambda: bool(endpoint.asked))
    endpoint.open.set()
    codes = await asyncio.gather(*calls)

    endpoint.refusal = None

    assert codes == ["upstream_auth_failed"] * 5
    assert await token() == "token-2"


@pytest.mark.parametrize("body", ["[]", "{}", "<html>", '{"access_token": "t", "expires_in": "soon"}'])
async def test_reply_that_holds_no_token_is_a_failure(endpoint: TokenEndpoint, body: str) -> None:
    endpoint.refusal = (200, body)

    assert await code_of(GoogleToken("up")) == "upstream_auth_failed"


async def test_overloaded_token_endpoint_is_a_failure_that_passes(endpoint: TokenEndpoint) -> None:
    endpoint.refusal = (503, '{"error": "temporarily_unavailable"}')

    assert await code_of(GoogleToken("up")) == "upstream_unavailable"


async def test_token_endpoint_that_cannot_be_reached_is_a_failure_that_passes(
    private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account.json"
    write_account(account, private_key, f"http://127.0.0.1:{free_port()}/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))

    assert await code_of(GoogleToken("up")) == "upstream_unavailable"


@pytest.mark.parametrize("content", [None, "", "{}", '{"type": "service_account"}'])
async def test_unusable_credentials_are_ours_to_fix(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    assert await code_of(GoogleToken("up")) == "upstream_auth_failed"


async def test_call_that_is_cancelled_leaves_the_refresh_to_the_others(endpoint: TokenEndpoint) -> None:
    token = GoogleToken("up")
    endpoint.open.clear()
    first, second = asyncio.create_task(token()), asyncio.create_task(token())
    await until(lambda: bool(endpoint.asked))

    first.cancel()
    endpoint.open.set()

    assert await second == "token-1"
    assert first.cancelled()


async def test_loop_serves_others_while_the_token_endpoint_is_silent(endpoint: TokenEndpoint) -> None:
    endpoint.open.clear()
    waiting = asyncio.create_task(GoogleToken("up")())
    gaps: list[float] = []

    await until(lambda: bool(endpoint.asked))
    for _ in range(20):
        start = time.monotonic()
        await asyncio.sleep(0.005)
        gaps.append(time.monotonic() - start)
    endpoint.open.set()

    assert not waiting.done()
    assert max(gaps) < 0.5
    assert await waiting == "token-1"


@pytest.mark.usefixtures("endpoint")
async def test_token_that_an_upstream_repeats_stays_out_of_the_log(
    upstream: ScriptedUpstream,
    make_provider: MakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream.script = response("500 Oops", b'{"error": {"message": "cannot use token-1"}}')

    with caplog.at_level(logging.DEBUG):
        told = await ask(make_provider(upstream.url, api_key=GoogleToken("up")))

    assert told.code == "upstream_unavailable"
    assert "cannot use (key)" in caplog.text
    assert "token-1" not in caplog.text


async def test_call_whose_token_is_refused_never_reaches_the_upstream(
    endpoint: TokenEndpoint, upstream: ScriptedUpstream, make_provider: MakeProvider
) -> None:
    endpoint.refusal = (400, '{"error": "invalid_grant"}')

    told = await ask(make_provider(upstream.url, api_key=GoogleToken("up")))

    assert told.code == "upstream_auth_failed"
    assert upstream.calls == []
