"""`--iam`: a Google ID token in a header of its own, from gcloud or from google-auth, renewed before it ends."""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_httpserver import HTTPServer

from sluice_tui.api import Api, Endpoint
from sluice_tui.errors import ClientError
from sluice_tui.identity import REFRESH_SECONDS, Fetch, IdentityTokens, expiry, from_gcloud, from_google_auth, usual_sources
from tests.tui.asking import assert_three_parts
from tests.tui.command import sluice
from tests.tui.fake_openai import FakeOpenAI, Reply

HEADER = "x-serverless-authorization"


def token(ends: float, name: str = "") -> str:
    """Unsigned, as nobody here looks at the signature."""

    def part(body: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'exp': ends, 'name': name})}.c2ln"


def gcloud(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gcloud of our own, first in the path."""
    program = folder / "gcloud"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_request_carries_gclouds_token_beside_the_services_own_key(
    server: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = token(time.time() + 3600)
    gcloud(tmp_path, f'[ "$*" = "auth print-identity-token --quiet" ] && echo {good}', monkeypatch)

    ended = sluice("ask", "hi", "--iam", "--url", server.url, SLUICE_API_KEY="sk-own")

    assert ended.returncode == 0
    assert {request.headers[HEADER] for request in server.received} == {f"Bearer {good}"}
    assert {request.headers["authorization"] for request in server.received} == {"Bearer sk-own"}
    assert good not in ended.stdout + ended.stderr


async def test_a_token_is_fetched_once_and_again_before_it_ends(server: FakeOpenAI) -> None:
    now, asked = [1000.0], list[str]()

    async def fetch(audience: str) -> str:
        asked.append(audience)
        return token(now[0] + 3600, f"{len(asked)}")

    await requests(server, fetch, now, at=[1000, 1000 + 3600 - REFRESH_SECONDS - 1, 1000 + 3600 - REFRESH_SECONDS])

    assert asked == ["https://service.test"] * 2


async def requests(server: FakeOpenAI, fetch: Fetch, now: list[float], at: list[float]) -> None:
    auth = IdentityTokens("https://service.test", [fetch], lambda: now[0])
    async with httpx.AsyncClient(auth=auth) as client:
        for moment in at:
            now[0] = moment
            await client.get(f"{server.url}/models")


@pytest.mark.parametrize("odd", ["", "a.b.c", "a.e30.c", "no token"])
def test_a_token_that_cannot_be_read_is_used_for_a_while(odd: str) -> None:
    assert expiry(odd, 1000.0) - REFRESH_SECONDS > 1000


async def test_a_service_account_gets_its_token_from_google_for_the_services_address(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """google-auth as it is, with a key file whose token endpoint is ours."""
    good = token(time.time() + 3600)
    httpserver.expect_request("/token", method="POST").respond_with_json({"id_token": good})
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, httpserver.url_for("/token"))))

    assert usual_sources()[0] is from_google_auth
    assert await from_google_auth("https://service.test") == good


def service_account(folder: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    told = {"type": "service_account", "client_email": "a@b.test", "private_key": pem.decode(), "token_uri": token_uri}
    path = folder / "account.json"
    path.write_text(json.dumps({**told, "private_key_id": "1", "project_id": "p", "client_id": "c"}))
    return path


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'Reauthentication failed.' >&2; exit 1", "gcloud says: Reauthentication failed."),
        ("true", "gcloud says: nothing"),
    ],
)
async def test_without_a_token_the_request_is_not_made_and_both_reasons_are_told(
    server: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    gcloud(tmp_path, script, monkeypatch)
    (tmp_path / "account.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    api = Api(Endpoint(server.url, iam=True))

    with pytest.raises(ClientError) as caught:
        await api.models()
    await api.aclose()

    report = caught.value.report
    assert_three_parts(report)
    assert (report.code, server.received) == ("no_identity_token", [])
    assert told in report.why
    assert "google-auth says:" in report.why


def test_without_gcloud_and_google_auth_it_says_what_to_install(
    server: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "google.oauth2.id_token", None)

    ended = sluice("ask", "hi", "--iam", "--url", server.url)

    assert ended.returncode == 4
    assert "gcloud is not installed; google-auth is not installed" in ended.stderr
    assert "sluice[iam]" in ended.stderr


def test_cloud_runs_own_refusal_says_what_it_means(server: FakeOpenAI) -> None:
    server.replies["/v1/models"] = Reply(403, "<html><title>403 Forbidden</title>", "text/html; charset=UTF-8")

    ended = sluice("ask", "hi", "--url", server.url)

    assert ended.returncode == 4
    assert "--iam" in ended.stderr
    assert "Cloud Run Invoker" in ended.stderr


async def test_gcloud_that_is_asked_and_left_alone_is_not_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcloud(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 100", monkeypatch)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await from_gcloud("https://service.test")

    assert not running(tmp_path / "pid")


def running(pid_file: Path) -> bool:
    return Path(f"/proc/{pid_file.read_text().strip()}").exists()
