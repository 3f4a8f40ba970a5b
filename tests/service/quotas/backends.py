"""What counts in each of the places there are, and the names that keep one test out of another's count."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluice_service.quotas.base import Lease, Limits, Quotas

MakeQuotas = Callable[..., Quotas]

_numbers = itertools.count()


def new_name(kind: str) -> str:
    return f"{kind}-{next(_numbers)}"


@dataclass
class User:
    """Someone new, at one or more instances that count together."""

    quotas: Quotas
    limits: Limits
    name: str

    def acquire(self, **more: Any) -> Lease:
        given: dict[str, Any] = {"stream_id": new_name("stream"), "live_seconds": 60, **more}
        return self.quotas.acquire(self.name, self.limits, **given)


def someone(quotas: Quotas, *, streams: int = 10, messages: int = 100) -> User:
    return User(quotas, Limits(streams, messages), new_name("user"))


class Clock:
    """A clock that is set forward by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds
