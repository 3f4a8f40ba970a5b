"""The way to a server: its name, the connection, the certificate."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from sluice_tui.addresses import needs_environment
from sluice_tui.doctor.check import Check, Status

CONNECT_SECONDS = 10.0
SOON_DAYS = 14
_DAY = 86_400
_SHOWN_ADDRESSES = 3


async def way_to(url: str) -> AsyncIterator[Check]:
    """Its checks; the first that fails is the last."""
    parsed = urlsplit(url)
    if proxy := _proxy(url, parsed):
        yield Check("network", Status.SKIP, f"A proxy makes the connection: {_without_password(proxy)}.")
        return
    resolved = await _resolved(parsed)
    yield resolved
    if resolved.status is Status.OK:
        yield await _connected(parsed)


def _proxy(url: str, parsed: SplitResult) -> str:
    """The proxy that httpx takes for an address, "" for none."""
    if not needs_environment(url) or proxy_bypass(parsed.netloc):
        return ""
    proxies = getproxies()
    return str(proxies.get(parsed.scheme) or proxies.get("all") or "")


def _without_password(proxy: str) -> str:
    try:
        return urlsplit(proxy)._replace(netloc=urlsplit(proxy).netloc.rpartition("@")[2]).geturl()
    except ValueError:
        return "its address cannot be read"


async def _resolved(parsed: SplitResult) -> Check:
    host, port = parsed.hostname or "", _port(parsed)
    started = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return Check("name", Status.FAIL, f"The name {host} leads to no address.", "Check the spelling, and your network.")
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    shown = ", ".join(addresses[:_SHOWN_ADDRESSES]) + (" …" if len(addresses) > _SHOWN_ADDRESSES else "")
    return Check("name", Status.OK, f"{host} is {shown} ({_since(started)} ms).")


async def _connected(parsed: SplitResult) -> Check:
    try:
        tls = httpx.create_ssl_context() if parsed.scheme == "https" else None
    except OSError as problem:
        found = f"The certificates of trusted authorities cannot be read: {problem.strerror or problem}."
        return Check("connection", Status.FAIL, found, "Check SSL_CERT_FILE and SSL_CERT_DIR.")
    started = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parsed.hostname, _port(parsed), ssl=tls)
    except ssl.SSLError as problem:
        advice = (
            "Check scheme, host and port; the certificate has to be valid for this host (SSL_CERT_FILE adds authorities)."
        )
        return Check("connection", Status.FAIL, f"No trusted connection: {problem.reason or problem}.", advice)
    except (OSError, TimeoutError):
        advice = "Start the server, or check host and port; a firewall may be in the way."
        return Check("connection", Status.FAIL, f"Nothing answers at {parsed.netloc}.", advice)
    milliseconds = _since(started)
    session = writer.get_extra_info("ssl_object")
    writer.close()
    if session:
        return _certified(session, milliseconds)
    if needs_environment(parsed.geturl()):
        found = f"Made in {milliseconds} ms, without TLS: whoever is on the way reads key and text."
        return Check("connection", Status.WARN, found, "Use https:// where the server has it.")
    return Check("connection", Status.OK, f"Made in {milliseconds} ms.")


def _certified(session: ssl.SSLObject, milliseconds: int) -> Check:
    certificate = session.getpeercert() or {}
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / _DAY
    found = f"Made in {milliseconds} ms with {session.version()}; the certificate is good for {days:.0f} days."
    if days < SOON_DAYS:
        return Check("connection", Status.WARN, found, "Have the certificate renewed.")
    return Check("connection", Status.OK, found)


def _port(parsed: SplitResult) -> int:
    return parsed.port or (443 if parsed.scheme == "https" else 80)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
