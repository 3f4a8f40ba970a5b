"""The HTTP proxy on the way to upstream, where the environment names one (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY).

Sources: RFC 9110, section 9.3.6 (CONNECT); RFC 9112, section 3.2.2 (absolute-form); RFC 7617 (Basic).
"""

import asyncio
import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed knows it not

from sluice_service.providers.connection import Connection, LostConnection

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it listens, and whether behind TLS. `authorization` is a line of a request's head, or empty."""

    host: str
    port: int
    has_tls: bool
    authorization: bytes = field(repr=False)

    async def tunnel(self, host: str, port: int, tls: ssl.SSLContext) -> Connection:
        """A connection to a server behind it, whose certificate is checked. Raises OSError and LostConnection."""
        authority = _authority(host, port).encode("ascii")
        request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (authority, authority, self.authorization)
        loop = asyncio.get_running_loop()
        with ExitStack() as undo:
            outer = (await loop.create_connection(Connection, self.host, self.port, ssl=tls if self.has_tls else None))[1]
            undo.callback(outer.abort)
            reply = outer.ask(request)
            await reply.head()
            if not 200 <= reply.status < 300:
                raise LostConnection(self.refusal(reply.status))
            inner = await outer.start_tls(tls, host)
            undo.pop_all()
        return inner

    def refusal(self, status: int) -> str:
        """What to say of a refusal: its status alone, since its text is not upstream's."""
        hint = ": it wants a name and a password, or others than its address holds" if status == 407 else ""
        return f"the proxy {self} refused with {status}{hint}"

    def __str__(self) -> str:
        return _authority(self.host, self.port)


def proxy_for(upstream: SplitResult, proxies: Mapping[str, str]) -> Proxy | None:
    """The proxy on the way there; None for none. `proxies` are urllib.request.getproxies_environment's.

    Hosts on loopback and those of NO_PROXY need none. Raises ValueError for one that cannot be used; its address, which
    can hold a password, is not part of the error.
    """
    key = upstream.scheme if proxies.get(upstream.scheme) else "all"
    address = proxies.get(key, "")
    if not address or _is_direct(upstream, proxies):
        return None
    name = f"{key.upper()}_PROXY"
    try:
        url = urlsplit(address if "://" in address else f"http://{address}")
        port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
    except ValueError:
        raise ValueError(f"the address in {name} is not valid") from None
    if url.scheme not in DEFAULT_PORTS:
        raise ValueError(f"the proxy in {name} is one of {url.scheme}: only those of http and https can be used")
    if not url.hostname or not url.hostname.isascii() or not address.isprintable():
        raise ValueError(f"the address in {name} names no host")
    return Proxy(url.hostname, port, url.scheme == "https", _authorization(url))


def _is_direct(upstream: SplitResult, proxies: Mapping[str, str]) -> bool:
    host, port = upstream.hostname or "", upstream.port or DEFAULT_PORTS[upstream.scheme]
    names = (host, _authority(host, port))
    return _is_loopback(host) or any(proxy_bypass_environment(name, dict(proxies)) for name in names)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _authorization(url: SplitResult) -> bytes:
    if not url.username:
        return b""
    pair = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
    return b"Proxy-Authorization: Basic %b\r\n" % b64encode(pair)
