"""The three clocks of a generation: first token, idle, total."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sluice_wire.errors import SluiceError


@dataclass(frozen=True, slots=True)
class Clocks:
    """How long an answer may take, in seconds: to its first content, between two events, and in all."""

    first_token_seconds: float
    idle_seconds: float
    total_seconds: float


class Watchdog:
    """Watches the clocks with one timer that is set again only when it fires, so that an event costs one assignment."""

    def __init__(self, clocks: Clocks, expire: Callable[[SluiceError], object]) -> None:
        self._clocks = clocks
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._started = self._heard = self._loop.time()
        self._answering = False
        self._timer = self._loop.call_at(self._deadline()[0], self._check)

    @property
    def first_token_budget_seconds(self) -> float:
        """What is left of the first token's time."""
        return self._started + self._clocks.first_token_seconds - self._loop.time()

    def heard(self) -> None:
        """An event arrived: the first token's clock stops, the idle clock starts again."""
        self._heard = self._loop.time()
        if not self._answering:
            self._answering = True
            # The idle clock may be the shorter one: the timer that was set for the first token would come too late.
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline()[0], self._check)

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _deadline(self) -> tuple[float, str, float]:
        clocks = self._clocks
        silence = clocks.idle_seconds if self._answering else clocks.first_token_seconds
        code = "idle_timeout" if self._answering else "first_token_timeout"
        total = (self._started + clocks.total_seconds, "total_timeout", clocks.total_seconds)
        return min(total, (self._heard + silence, code, silence))

    def _check(self) -> None:
        when, code, seconds = self._deadline()
        if when <= self._loop.time():
            self._expire(SluiceError(code, seconds=seconds))
        else:
            self._timer = self._loop.call_at(when, self._check)
