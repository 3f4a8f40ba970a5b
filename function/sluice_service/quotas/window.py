"""Messages within the hour that ends now; in Redis they are counted by the library `limits`.

A moving window, not a fixed one: a fixed one lets twice the number through around its edge, and then opens all at once;
here the time until the next place is exact, and can be told. It costs one time stamp for each message of the hour.
"""

import time
from typing import Protocol

from sluice_service.quotas.base import Limits, Standing

WINDOW_SECONDS = 3600


class Counted(Protocol):
    """Moving windows as a storage of `limits` offers them, and the way back that `limits` itself does not."""

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add an entry unless there are `limit` within the last `expiry` seconds."""
        ...

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest of those entries came, and how many there are."""
        ...

    def forget_newest(self, key: str) -> None:
        """Take the newest entry out, if there is one."""
        ...


class MessageWindow:
    """Each user's messages. One list for each user, so that keys with different limits count the same messages."""

    def __init__(self, counted: Counted, seconds: int) -> None:
        self._counted = counted
        self._seconds = seconds

    def take(self, user: str, limits: Limits) -> bool:
        """Count a message if there is room for it."""
        return self._counted.acquire_entry(_key(user), limits.messages_per_hour, self._seconds)

    def give_back(self, user: str) -> None:
        """Count the newest message no more."""
        self._counted.forget_newest(_key(user))

    def standing(self, user: str, limits: Limits) -> Standing:
        """Where the user stands now."""
        limit = limits.messages_per_hour
        oldest, count = self._counted.get_moving_window(_key(user), limit, self._seconds)
        # What is counted reads the wall clock, and so does this.
        reset_seconds = max(0.0, oldest + self._seconds - time.time()) if count else 0.0
        return Standing(limit, max(0, limit - count), reset_seconds)


def _key(user: str) -> str:
    return f"messages:{user}"
