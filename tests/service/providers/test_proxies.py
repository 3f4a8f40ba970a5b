"""The way to upstream through an HTTP proxy."""

import asyncio
import ssl
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sluice_service.providers.proxy import proxy_for
from tests.service.providers.asking import ask
from tests.service.providers.conftest import KEY, MakeProvider
from tests.support.certificates import contexts
from tests.support.http_proxy import GRANTED, HttpProxy
from tests.support.keeping_upstream import KeepingUpstream
from tests.support.running_function import running_function
from tests.support.scripted_upstream import ScriptedUpstream

PASSWORD = "p@ss/word"
BASIC = b64encode(f"me:{PASSWORD}".encode())
REFUSED = b"HTTP/1.1 %b\r\nproxy-authenticate: Basic realm=x\r\ncontent-length: 13\r\n\r\nforged\nreason"


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts(tmp_path, "upstream.test", "localhost")


def address(proxy: HttpProxy, scheme: str = "http") -> str:
    return f"{scheme}://me:p%40ss%2Fword@localhost:{proxy.port}"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_tls_goes_through_a_tunnel_that_is_used_again(
    make_provider: MakeProvider, tls: tuple[ssl.SSLContext, ssl.SSLContext], scheme: str
) -> None:
    upstream = KeepingUpstream()
    async with upstream.listening(tls[0]) as port, HttpProxy(port).listening(tls[0] if scheme == "https" else None) as proxy:
        provider = make_provider("https://upstream.test/v1", proxies={"https": address(proxy, scheme)}, trusted=tls[1])

        told = [await ask(provider) for _ in range(3)]

        assert [(one.text, one.error) for one in told] == [("kept", None)] * 3
        expected = b"CONNECT upstream.test:443 HTTP/1.1\r\nHost: upstream.test:443\r\nProxy-Authorization: Basic %b\r\n\r\n"
        assert proxy.heads == [expected % BASIC]
        assert len(upstream.heads) == 3
        assert upstream.heads[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\nHost: upstream.test\r\n")
        assert b"proxy-authorization" not in upstream.heads[0].lower()
        await provider.aclose()
        await asyncio.wait_for(upstream.ended.wait(), 5)


async def test_plain_http_is_asked_of_the_proxy_by_the_whole_address(make_provider: MakeProvider) -> None:
    upstream = KeepingUpstream()
    async with upstream.listening() as port, HttpProxy(port).listening() as proxy:
        provider = make_provider("http://upstream.test:81/v1", proxies={"http": address(proxy)})

        told = [await ask(provider) for _ in range(2)]

        assert [(one.text, one.error) for one in told] == [("kept", None)] * 2
        assert len(proxy.heads) == upstream.connections == 1
        expected = b"POST http://upstream.test:81/v1/chat/completions HTTP/1.1\r\nHost: upstream.test:81\r\n"
        assert all(head.startswith(expected) for head in upstream.heads)
        assert all(b"\r\nProxy-Authorization: Basic %b\r\n" % BASIC in head for head in upstream.heads)


async def test_certificate_of_another_host_is_refused(
    make_provider: MakeProvider, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    upstream = KeepingUpstream()
    async with upstream.listening(tls[0]) as port, HttpProxy(port).listening() as proxy:
        provider = make_provider("https://other.test/v1", proxies={"all": address(proxy)}, trusted=tls[1])

        assert (await ask(provider)).code == "upstream_unavailable"

        assert upstream.heads == []
        await asyncio.wait_for(proxy.ended.wait(), 5)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_refusal_of_the_proxy_is_logged_without_its_text_or_a_password(
    make_provider: MakeProvider, caplog: pytest.LogCaptureFixture, scheme: str, status: str
) -> None:
    async with HttpProxy(0, REFUSED % status.encode(), refuses=True).listening() as proxy:
        told = await ask(make_provider(f"{scheme}://upstream.test/v1", proxies={scheme: address(proxy)}))

        assert told.code == "upstream_unavailable"
        if (scheme, status[:3]) != ("http", "502"):  # which could be upstream's own
            assert f"the proxy localhost:{proxy.port} refused with {status[:3]}" in caplog.text
            assert "forged" not in caplog.text
        assert PASSWORD not in caplog.text
        assert BASIC.decode() not in caplog.text
        if scheme == "https":
            await asyncio.wait_for(proxy.ended.wait(), 5)


@pytest.mark.parametrize("answer", [b"", GRANTED], ids=["silent", "silent after its grant"])
async def test_time_to_connect_covers_the_proxy_and_tls(
    make_provider: MakeProvider, caplog: pytest.LogCaptureFixture, answer: bytes
) -> None:
    async with HttpProxy(0, answer, refuses=True).listening() as proxy:
        proxies = {"https": address(proxy)}
        provider = make_provider("https://upstream.test/v1", proxies=proxies, connect_timeout_seconds=0.2)

        assert (await asyncio.wait_for(ask(provider), 5)).code == "upstream_unavailable"

        assert f"upstream.test:443 through the proxy localhost:{proxy.port} within 0.2 s" in caplog.text
        await asyncio.wait_for(proxy.ended.wait(), 5)


@pytest.mark.parametrize("answer", [b"", GRANTED], ids=["before the grant", "before TLS"])
async def test_cancelling_closes_the_connection_to_the_proxy(make_provider: MakeProvider, answer: bytes) -> None:
    async with HttpProxy(0, answer, refuses=True).listening() as proxy:
        call = asyncio.create_task(ask(make_provider("https://upstream.test/v1", proxies={"https": address(proxy)})))
        await asyncio.wait_for(proxy.asked.wait(), 5)

        call.cancel()

        await asyncio.wait_for(proxy.ended.wait(), 5)
        assert call.cancelled()


@pytest.mark.parametrize(
    "answer",
    [
        GRANTED + b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}",
        GRANTED[:-2] + b"content-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"220 mail.test ESMTP\r\n\r\n",
    ],
    ids=["a reply", "a reply after an empty one", "no HTTP"],
)
async def test_bytes_before_tls_are_never_taken_for_upstreams(make_provider: MakeProvider, answer: bytes) -> None:
    async with HttpProxy(0, answer, refuses=True).listening() as proxy:
        told = await ask(make_provider("https://upstream.test/v1", proxies={"https": address(proxy)}))

        assert (told.code, told.events) == ("upstream_unavailable", [])
        await asyncio.wait_for(proxy.ended.wait(), 5)


@pytest.mark.parametrize(
    ("upstream", "proxies", "proxy"),
    [
        ("https://api.test/v1", {}, None),
        ("https://api.test/v1", {"http": "http://p:1"}, None),
        ("https://api.test/v1", {"https": "http://p:1", "all": "http://q:1"}, "p:1"),
        ("https://api.test/v1", {"https": "", "all": "http://q:1"}, "q:1"),
        ("http://api.test/v1", {"http": "p:3128"}, "p:3128"),
        ("http://api.test/v1", {"http": "http://p"}, "p:80"),
        ("http://api.test/v1", {"http": "https://[2001:db8::1]"}, "[2001:db8::1]:443"),
        ("http://localhost:11434/v1", {"all": "http://p:1"}, None),
        ("http://127.0.0.9/v1", {"all": "http://p:1"}, None),
        ("http://[::1]/v1", {"all": "http://p:1"}, None),
        ("https://api.test/v1", {"all": "http://p:1", "no": "*"}, None),
        ("https://api.test/v1", {"all": "http://p:1", "no": "other, .TEST"}, None),
        ("https://api.test/v1", {"all": "http://p:1", "no": "api.test:443"}, None),
        ("https://api.test/v1", {"all": "http://p:1", "no": "api.test:80,pi.test"}, "p:1"),
        ("http://[2001:db8::2]:8/v1", {"all": "http://p:1", "no": "2001:db8::2"}, None),
        ("http://[2001:db8::2]:8/v1", {"all": "http://p:1", "no": "[2001:db8::2]:8"}, None),
    ],
)
def test_environment_tells_which_proxy_serves_which_host(upstream: str, proxies: dict[str, str], proxy: str | None) -> None:
    found = proxy_for(urlsplit(upstream), proxies)

    assert (found and str(found)) == proxy


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://me:hunter2@p:1080", "the proxy in HTTPS_PROXY is one of socks5: only those of http and https"),
        ("http://me:hunter2/x@p:1", "the address in HTTPS_PROXY is not valid"),
        ("http://me:hunter2@[p:1", "the address in HTTPS_PROXY is not valid"),
        ("http://me:hunter2@", "the address in HTTPS_PROXY names no host"),
    ],
)
def test_proxy_that_cannot_be_used_is_named_at_the_start_and_its_password_is_not(
    make_provider: MakeProvider, proxy: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        make_provider("https://api.test/v1", proxies={"https": proxy})

    assert "hunter2" not in str(raised.value)
    make_provider("https://api.test/v1", proxies={"https": proxy, "no": "api.test"})


async def test_function_takes_the_proxy_of_its_environment(upstream: ScriptedUpstream) -> None:
    async with HttpProxy(upstream.port).listening() as proxy:
        environment = {
            "HTTP_PROXY": address(proxy),
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": "http://upstream.test/v1",
        }

        def chat() -> str:
            with running_function(environment) as function, function.client() as client:
                body = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}
                said: str = client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
                assert PASSWORD not in function.log()
                return said

        assert await asyncio.to_thread(chat) == "Hello world"
        assert proxy.heads[0].startswith(b"POST http://upstream.test/v1/chat/completions ")
