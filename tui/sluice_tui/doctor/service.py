"""What answers at an address: its kind, its version, its clock, and whether it takes the key."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from sluice_tui.api import Api, Endpoint
from sluice_tui.connection import Connection
from sluice_tui.doctor.check import Check, Status, failed
from sluice_tui.errors import ClientError
from sluice_tui.safety import inert_line
from sluice_tui.transport import Timeouts
from sluice_wire.version import __version__

HEALTH_SECONDS = 10.0
SKEW_SECONDS = 5.0
"""Beyond this a clock is wrong and not only read late: the header has whole seconds, and the answer takes a while."""

GRAVE_SKEW_SECONDS = 60.0
"""Tickets are good for this long, and Google's tokens are refused beyond about as much."""

_SHOWN_AGENTS = 8
_REFUSED = (401, 403)


async def kind_and_clock(endpoint: Endpoint) -> AsyncIterator[Check]:
    """What the server says of itself, and the time that it says it is; `endpoint` needs no key."""
    try:
        async with aclosing(Api(endpoint, Timeouts(HEALTH_SECONDS, HEALTH_SECONDS))) as api:
            response, body = await api.health()
    except ClientError as error:
        yield failed("service", error.report)
        return
    yield _kind(response, body)
    yield clock(response.headers.get("date"), time.time())


def _kind(response: httpx.Response, body: Any) -> Check:
    if response.status_code in _REFUSED:
        told = f"It tells its kind only to whom it lets in (HTTP {response.status_code}).{_between(response.headers)}"
        return Check("service", Status.SKIP, told)
    if not response.is_success or not isinstance(body, dict) or body.get("status") != "healthy":
        return Check("service", Status.OK, f"No Sluice service, but perhaps another server.{_between(response.headers)}")
    theirs = inert_line(str(body.get("version", "unknown")), 20)
    found = f"Sluice {theirs}.{_between(response.headers)}"
    if isinstance(features := body.get("features"), dict) and features.get("streaming") is False:
        return Check("service", Status.WARN, f"{found} It does not stream.", "Set ENABLE_STREAMING=true on the service.")
    if theirs.split(".")[:2] != __version__.split(".")[:2]:
        return Check("service", Status.WARN, f"{found} This terminal is {__version__}.", "Bring both to the same version.")
    return Check("service", Status.OK, found)


def _between(headers: Mapping[str, str]) -> str:
    """Who else says that it is on the way: the first to look at where something buffers."""
    named = [
        f"{name}: {inert_line(headers[name], 60)}" for name in ("server", "via", "cf-ray", "x-cache") if name in headers
    ]
    return f" On the way: {', '.join(named)}." if named else ""


def clock(date: str | None, now: float) -> Check:
    """How far this machine's clock is from the server's, by its Date header; `now` is in seconds since the epoch."""
    try:
        skew = now - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Check("clock", Status.SKIP, "The server does not say what time it is.")
    if abs(skew) <= SKEW_SECONDS:
        return Check("clock", Status.OK, "It agrees with the server's.")
    found = f"It is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's."
    grave = abs(skew) > GRAVE_SKEW_SECONDS
    return Check(
        "clock", Status.FAIL if grave else Status.WARN, found, "Let this machine set its clock by the network (NTP)."
    )


async def key_and_agents(connection: Connection) -> Check:
    """Whether the key is taken, and whom it may talk to."""
    try:
        agents = await connection.agents()
        line = await connection.line()
    except ClientError as error:
        return failed("key", error.report)
    names = [inert_line(agent.id, 40) for agent in agents]
    shown = ", ".join(names[:_SHOWN_AGENTS]) + (
        f" and {len(names) - _SHOWN_AGENTS} more" if len(names) > _SHOWN_AGENTS else ""
    )
    found = f"Taken. Agents: {shown}." if names else "The server does not list its models."
    if names and line.agent.id not in {agent.id for agent in agents}:
        action = "Name one of these with --agent (SLUICE_AGENT)."
        return Check("key", Status.FAIL, f"{found} There is no {inert_line(line.agent.id, 40)}.", action)
    return Check("key", Status.OK, found)
