"""The seam of the limits, what they refuse with, and the headers that tell where a caller stands."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sluice_wire.errors import SluiceError

MARGIN_SECONDS = 15.0
"""How much longer than its stream a lease lasts: what comes before the clocks start and after they have stopped."""

STREAM_END_SECONDS = 5.0
"""When to try again with too many streams. When one will end is not known; answers take seconds as a rule."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may have: streams at the same time, and messages within any hour."""

    streams: int = 10
    messages_per_hour: int = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a user stands with the messages of the hour.

    `reset_seconds` is the time until the oldest one no longer counts, and so until there is room for one more; 0 when
    none counts.
    """

    limit: int
    remaining: int
    reset_seconds: float


class LimitReached(SluiceError):
    """A refusal by a limit: `rate_limited` or `too_many_streams`. `standing` is for the headers."""

    def __init__(self, code: str, standing: Standing, *, limit: int, retry_after_seconds: float) -> None:
        super().__init__(code, retry_after_seconds=retry_after_seconds, limit=limit)
        self.standing = standing


@dataclass(frozen=True, slots=True)
class Lease:
    """A place among the user's streams, and one message counted. Ends by itself some time after the stream must have."""

    standing: Standing
    """After this message."""
    release: Callable[[], object]
    """Free the place, when the stream has ended. For any thread; waits for nothing; once or many times."""
    give_back: Callable[[], object]
    """Free the place and count the message no more, when the turn could not start. No-op after a release.

    May wait for the store, for a bounded time, and so is not for the pump. Messages have no names: it is the user's newest
    one that is taken out, which differs from this one by the time between the two, if another came meanwhile.
    """


class Quotas(Protocol):
    """Counts streams and messages by user. Safe for any thread; `acquire` and `check` may wait for a bounded time."""

    def acquire(self, user: str, limits: Limits, stream_id: str, live_seconds: float) -> Lease:
        """A place for a new turn's stream, which runs for `live_seconds` at most.

        Raises LimitReached: `too_many_streams`, which counts no message, or `rate_limited`, which takes no place.
        """
        ...

    def check(self, user: str, limits: Limits) -> Standing:
        """Where the user stands, with nothing taken. Raises LimitReached as `acquire` would."""
        ...

    def flush(self) -> None:
        """Wait, for a bounded time, until all that was released is free on every instance."""
        ...


def rate_limited(limits: Limits, standing: Standing) -> LimitReached:
    """The refusal of a message too many."""
    return LimitReached("rate_limited", standing, limit=limits.messages_per_hour, retry_after_seconds=standing.reset_seconds)


def too_many_streams(limits: Limits, standing: Standing) -> LimitReached:
    """The refusal of a stream too many."""
    return LimitReached("too_many_streams", standing, limit=limits.streams, retry_after_seconds=STREAM_END_SECONDS)


def rate_limit_headers(standing: Standing) -> dict[str, str]:
    """OpenAI's three headers about requests, the time in its form: `59s`, `6m0s`, `1h0m0s`, rounded up to seconds.

    Source: OpenAI's guide "Rate limits", "Rate limits in headers". There the reset is the return to the initial state. In a
    window that moves, that is always one window after the last message; what a caller waits for is the next free place.
    """
    return {
        "x-ratelimit-limit-requests": str(standing.limit),
        "x-ratelimit-remaining-requests": str(standing.remaining),
        "x-ratelimit-reset-requests": _duration(math.ceil(standing.reset_seconds)),
    }


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
