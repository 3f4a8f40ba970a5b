"""Google ID tokens for a Cloud Run service behind IAM, in the header that leaves `Authorization` to the service's own key.

Source: Cloud Run documentation, "Authenticating service-to-service": `X-Serverless-Authorization` wins over `Authorization`
and is stripped of its signature before the service sees it. A token is good for an hour, and for one audience.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx

from sluice_tui.errors import ClientError, client_error

HEADER = "X-Serverless-Authorization"
REFRESH_SECONDS = 300.0
"""How long before its end a token is replaced: an answer that begins with it must not outlive it on the way."""

UNKNOWN_LIFE_SECONDS = 600.0
"""How long a token is used whose end cannot be read."""

GCLOUD_SECONDS = 30.0
GCLOUD = ("gcloud", "auth", "print-identity-token", "--quiet")

Fetch = Callable[[str], Awaitable[str]]
"""Gets a token for an audience. Raises NoToken."""


class NoToken(Exception):
    """One source has no token; the message says why, for people."""


class IdentityTokens(httpx.Auth):
    """Puts a token for `audience` (the service's root address) on every request, and replaces it before it expires.

    `sources` are asked in their order until one has a token. Requests raise ClientError where none has.
    """

    def __init__(self, audience: str, sources: Sequence[Fetch], now: Callable[[], float] = time.time) -> None:
        self._audience = audience
        self._sources = sources
        self._now = now
        self._lock = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """httpx's hook."""
        request.headers[HEADER] = f"Bearer {await self._fresh()}"
        yield request

    async def _fresh(self) -> str:
        # One at a time: gcloud takes a second, and the first requests come together.
        async with self._lock:
            if self._now() >= self._good_until:
                self._token = await self._fetched()
                self._good_until = expiry(self._token, self._now()) - REFRESH_SECONDS
            return self._token

    async def _fetched(self) -> str:
        problems = []
        for source in self._sources:
            try:
                return await source(self._audience)
            except NoToken as problem:
                problems.append(str(problem))
        raise self._failure(problems)

    def _failure(self, problems: Sequence[str]) -> ClientError:
        return client_error("no_identity_token", url=self._audience, problem="; ".join(problems))


def usual_sources(environment: Mapping[str, str] = os.environ) -> Sequence[Fetch]:
    """Google's library first where a service account was named, else gcloud: the library would search for long."""
    sources = (from_google_auth, from_gcloud)
    return sources if environment.get("GOOGLE_APPLICATION_CREDENTIALS") else sources[::-1]


def expiry(token: str, now: float) -> float:
    """When a token ends, in seconds since the epoch: its `exp` claim (RFC 7519), unverified, for it is ours to send."""
    try:
        payload = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, ValueError, LookupError, TypeError):
        return now + UNKNOWN_LIFE_SECONDS + REFRESH_SECONDS


async def from_gcloud(_: str) -> str:
    """The token of gcloud's user, whose audience is gcloud's own; Cloud Run takes it. Raises NoToken."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*GCLOUD, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    except OSError:
        raise NoToken("gcloud is not installed") from None
    try:
        async with asyncio.timeout(GCLOUD_SECONDS):
            token, words = await process.communicate()
    except TimeoutError:
        raise NoToken(f"gcloud did not answer within {GCLOUD_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not token.strip():
        raise NoToken(f"gcloud says: {' '.join(words.decode('utf-8', 'replace').split())[:300] or 'nothing'}")
    return token.decode("ascii", "replace").strip()


async def from_google_auth(audience: str) -> str:
    """The token of a service account: its key file's, or the machine's. Raises NoToken."""
    return await asyncio.to_thread(_fetch_with_google_auth, audience)


def _fetch_with_google_auth(audience: str) -> str:
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
        from google.oauth2.id_token import fetch_id_token
    except ImportError:
        raise NoToken("google-auth is not installed") from None
    try:
        return str(fetch_id_token(Request(), audience))  # type: ignore[no-untyped-call]
    # A key file that is not what it should be: google-auth lets these through.
    except (GoogleAuthError, ValueError, OSError, LookupError) as error:
        raise NoToken(f"google-auth says: {' '.join(str(error).split())[:300]}") from error
