"""How long to wait before another try, and when to give up. No clock and no sleep of its own.

Exponential backoff with full jitter: the n-th wait is uniform between nothing and `base_seconds` · 2ⁿ, at most
`cap_seconds`, so that terminals that lost the same server do not all come back at once. Source: "Exponential Backoff And
Jitter", AWS Architecture Blog, 2015; RFC 9110 section 10.2.3 (Retry-After).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """What a lost connection is worth; `chance` gives numbers from 0 up to 1, `sleep` waits for seconds."""

    attempts: int = 6
    base_seconds: float = 0.5
    cap_seconds: float = 10
    longest_seconds: float = 30
    """A server that asks for a longer wait gets none: the user is told instead."""
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Backoff:
    """Counts the attempts since something was last gained."""

    def __init__(self, patience: Patience) -> None:
        self.attempt = 0
        self._patience = patience

    def progress(self) -> None:
        """The last attempt gained something: the count begins anew."""
        self.attempt = 0

    def next_wait(self, retry_after_seconds: float | None = None) -> float | None:
        """Count one more attempt, and tell the seconds to wait before it; None when it is time to give up.

        What the server asks for is waited in full, and the jitter comes on top of it.
        """
        asked = retry_after_seconds or 0.0
        if self.attempt >= self._patience.attempts or asked > self._patience.longest_seconds:
            return None
        ceiling = min(self._patience.cap_seconds, self._patience.base_seconds * 2.0**self.attempt)
        self.attempt += 1
        return asked + self._patience.chance() * ceiling


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, from its digits or its date; None where it says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        date: datetime = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is in GMT: the header knows no other.
    wait: float = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return max(0.0, wait)
