"""Which upstream is asked, in what order, and when again: only ever before the first content."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sluice_service.providers.base import ModelCall, Provider
from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

TRIED_AGAIN = frozenset({"upstream_unavailable", "upstream_overloaded", "upstream_rate_limited"})
"""Failures that pass: worth asking the same provider once more."""

TRIED_ELSEWHERE = TRIED_AGAIN | {
    "upstream_auth_failed",
    "upstream_quota_exhausted",
    "upstream_invalid_response",
    "upstream_truncated",
}
"""Failures of one provider that say nothing about the next one; the request itself may be fine."""

BACKOFF_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Target:
    """One model of one provider that can answer."""

    provider: Provider
    call: ModelCall


async def relay_first_that_answers(
    targets: Sequence[Target],
    relay: Callable[[Target], Awaitable[None]],
    began: Callable[[], bool],
    budget_seconds: Callable[[], float],
) -> None:
    """Relay from the first target that answers: each in turn, and the last one once more where that can help.

    `budget_seconds` is what is left of the first token's time: a wait that does not fit it is not begun. Raises the
    SluiceError of the last attempt; after content has come, of that one at once.
    """
    for target in targets[:-1]:
        try:
            return await relay(target)
        except SluiceError as error:
            if began() or error.code not in TRIED_ELSEWHERE:
                raise
            _say("fell_back", "The next provider of the agent is asked.", error)
    try:
        return await relay(targets[-1])
    except SluiceError as error:
        wait = error.retry_after_seconds
        wait = random.uniform(BACKOFF_SECONDS / 2, BACKOFF_SECONDS) if wait is None else wait  # noqa: S311 - jitter
        if began() or error.code not in TRIED_AGAIN or wait >= budget_seconds():
            raise
        _say("retried", f"The provider is asked once more in {wait:.2f} s.", error)
    await asyncio.sleep(wait)
    return await relay(targets[-1])


def _say(event: str, message: str, error: SluiceError) -> None:
    entries.write(event, message, severity=logging.WARNING, error_type=error.code)
