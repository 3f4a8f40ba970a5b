"""Access tokens of the function's own Google account (application default credentials), for `auth = "google"`.

On Cloud Run that is its service account; on a laptop, `gcloud auth application-default login`. Nothing is asked of Google
before the first call that needs a token.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import google.auth
from google.auth.credentials import TokenState
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request

from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
TOKEN_SECONDS = 5.0
"""How long the token endpoint may be silent; google-auth asks an overloaded one three times."""

MAX_LOGGED_CHARACTERS = 2_000

# A key file or a reply that is not what it should be: google-auth lets some of these through.
_UNUSABLE = (GoogleAuthError, OSError, ValueError, TypeError, KeyError)


class GoogleToken:
    """`await token()` is one that is good now. Belongs to the event loop of its first call.

    From some minutes before its end on (google-auth's REFRESH_THRESHOLD) a token is replaced in the background, and calls
    go on with it meanwhile; only a call that finds none waits. However many calls there are, one refresh runs at a time.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        # google-auth blocks: on a connection, and at the first call on the search for credentials.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="google-auth")
        self._credentials: Any = None
        self._refreshing: asyncio.Task[str | None] | None = None

    async def __call__(self) -> str:
        """A token for the Authorization header.

        Raises `upstream_auth_failed` when there are no credentials or they are refused, `upstream_unavailable` when whoever
        gives the tokens cannot be reached.
        """
        state = self._state()
        if state is not TokenState.FRESH:
            refresh = self._refresh_once()
            # Shielded: it serves every call, not only the one that is cancelled.
            failure = await asyncio.shield(refresh) if state is TokenState.INVALID else None
            if failure is not None:
                raise SluiceError(failure)
        return str(self._credentials.token)

    def _state(self) -> TokenState:
        state: TokenState = self._credentials.token_state if self._credentials else TokenState.INVALID
        return state

    def _refresh_once(self) -> "asyncio.Task[str | None]":
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
        return self._refreshing

    async def _refresh(self) -> str | None:
        """Get a new token; the code of the failure when there is none, told in an entry."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._refresh_blocking)
        except _UNUSABLE as error:
            is_transport = isinstance(error, TransportError) or isinstance(error.__cause__, TransportError)
            passes = is_transport or getattr(error, "retryable", False)
            entries.write(
                "google_auth_failed",
                "Google gave no access token for a provider.",
                severity=logging.ERROR,
                provider=self._provider,
                failure=f"{type(error).__name__}: {error}"[:MAX_LOGGED_CHARACTERS],
            )
            return "upstream_unavailable" if passes else "upstream_auth_failed"
        return None

    def _refresh_blocking(self) -> None:
        if self._credentials is None:
            credentials, _ = google.auth.default(scopes=SCOPES)
            self._credentials = credentials
        self._credentials.refresh(partial(Request(), timeout=TOKEN_SECONDS))
