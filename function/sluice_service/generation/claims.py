"""Idempotency: one claim for each key, so that a repeated request finds the generation that the first one started.

Source: the IETF's draft "The Idempotency-Key HTTP Header Field" (httpapi-idempotency-key-header).
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from sluice_service.generation.base import Stream
from sluice_wire.errors import SluiceError


@dataclass(frozen=True, slots=True)
class Claim:
    """What a caller asked under a key. `digest` tells two bodies apart; the other three together are the key's space."""

    owner: str
    route: str
    key: str
    digest: bytes

    @property
    def name(self) -> tuple[str, str, str]:
        """What is unique."""
        return self.owner, self.route, self.key


class Claims:
    """Who has claimed which key, in this process. Any thread may claim; of two that come at once one waits for the other."""

    def __init__(self) -> None:
        # Guards the table; nothing is waited for under it.
        self._lock = threading.Lock()
        self._claimed: dict[tuple[str, str, str], tuple[Claim, Future[Stream]]] = {}

    def get_or_start(self, claim: Claim, start: Callable[[], Stream]) -> Stream:
        """The stream under this claim, running or ended well; otherwise the one that `start` returns.

        A failed one is replaced, and an exception from `start` claims nothing. Raises `idempotency_mismatch`.
        """
        mine: Future[Stream] = Future()
        while True:
            with self._lock:
                first, promised = self._claimed.setdefault(claim.name, (claim, mine))
            if promised is mine:
                return self._fulfil(claim, mine, start)
            if first.digest != claim.digest:
                raise SluiceError("idempotency_mismatch", param="Idempotency-Key")
            stream = promised.result()
            if not stream.failed:
                return stream
            self.release(claim, stream)

    def release(self, claim: Claim, stream: Stream) -> None:
        """Forget the claim, if it is still this stream's."""
        with self._lock:
            held = self._claimed.get(claim.name)
            if held is not None and held[1].done() and held[1].result() is stream:
                del self._claimed[claim.name]

    def _fulfil(self, claim: Claim, promise: Future[Stream], start: Callable[[], Stream]) -> Stream:
        try:
            stream = start()
        except BaseException as error:
            with self._lock:
                del self._claimed[claim.name]
            promise.set_exception(error)
            raise
        promise.set_result(stream)
        return stream
