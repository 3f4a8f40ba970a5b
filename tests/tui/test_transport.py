"""What a network can do, over real sockets, and what the user is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from sluice_tui.api import Api, Endpoint
from sluice_tui.errors import CLIENT_ERRORS, ClientError
from sluice_tui.transport import translated
from tests.tui.asking import SHORT, ask, assert_three_parts, failure, failure_at
from tests.tui.fake_openai import FakeOpenAI


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_nobody_listening_is_told() -> None:
    report = await failure_at(f"http://127.0.0.1:{free_port()}/v1")

    assert report.code == "connection_refused"
    assert_three_parts(report)


async def test_a_name_that_does_not_exist_is_told() -> None:
    assert (await failure_at("http://nowhere.invalid/v1")).code == "unknown_host"


async def test_plain_http_where_tls_is_expected_is_told(server: FakeOpenAI) -> None:
    assert (await failure_at(server.url.replace("http:", "https:"))).code == "tls_failed"


async def test_a_host_that_does_not_accept_is_told(full_backlog: str) -> None:
    report = await failure_at(full_backlog)

    assert report.code == "connect_timeout"
    assert "within 2" in report.what


async def test_a_server_that_never_answers_is_told() -> None:
    with speaking(b"", hold=True) as url:
        assert (await failure_at(url)).code == "read_timeout"


async def test_a_server_that_hangs_up_at_once_is_told() -> None:
    with speaking(b"") as url:
        assert (await failure_at(url)).code == "connection_lost"


async def test_a_server_that_does_not_speak_http_is_told() -> None:
    with speaking(b"220 smtp.test ESMTP\r\n") as url:
        assert (await failure_at(url)).code == "connection_lost"


async def test_a_key_that_http_cannot_carry_is_told_and_not_shown(server: FakeOpenAI) -> None:
    api = Api(Endpoint(server.url, "line\nbreak"), SHORT)
    report = await failure(api)
    await api.aclose()

    assert report.code == "request_impossible"
    assert "break" not in str(report)


@pytest.mark.parametrize("setting", [("ALL_PROXY", "socks9://127.0.0.1:1"), ("SSL_CERT_FILE", "/nonexistent/ca.pem")])
def test_an_environment_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, setting: tuple[str, str]) -> None:
    monkeypatch.setenv(*setting)

    with pytest.raises(ClientError) as caught:
        Api(Endpoint("https://x.test/v1"))

    assert caught.value.report.code == "environment_unusable"
    assert_three_parts(caught.value.report)


async def test_a_proxy_from_the_environment_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, server: FakeOpenAI
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    api = Api(Endpoint(server.url), SHORT)

    text = await ask(api)
    await api.aclose()

    assert text == "Hello world"


def test_every_exception_of_httpx_is_translated() -> None:
    everything = [error for error in vars(httpx).values() if isinstance(error, type) and issubclass(error, httpx.HTTPError)]

    for kind in everything:
        error = kind("secret") if kind is not httpx.HTTPStatusError else httpx.HTTPError("secret")
        report = translated(error, "http://x.test/v1", SHORT, "id").report
        assert_three_parts(report)
        assert "secret" not in str(report)
    assert len(everything) > 20


def test_every_kind_of_client_error_has_three_parts() -> None:
    assert all(kind.what and kind.why and kind.action for kind in CLIENT_ERRORS.values())


@contextmanager
def speaking(words: bytes, *, hold: bool = False) -> Iterator[str]:
    """The address of a server that says this to whoever connects, and hangs up unless it is to hold the line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(words)
                while hold and connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join(5)


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """An address whose queue of connections is full: whoever tries to connect waits."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}/v1"
        for connection in waiting:
            connection.close()
