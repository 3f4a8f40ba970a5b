"""Idempotency: one claim for each key, so that a repeated request finds the generation that the first one started.

Source: the IETF's draft "The Idempotency-Key HTTP Header Field" (httpapi-idempotency-key-header).
"""

import threading
from collections.abc import Callable
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
    """Who has claimed which key, in this process. Any thread may claim."""

    def __init__(self) -> None:
        # Held while a generation is started, which takes no time: of two that come at once, the second finds the first's.
        self._lock = threading.Lock()
        self._claimed: dict[tuple[str, str, str], tuple[Claim, Stream]] = {}

    def get_or_start(self, claim: Claim, start: Callable[[], Stream]) -> Stream:
        """The stream under this claim, running or ended well; otherwise the one that `start` returns.

        A failed one is replaced, and an exception from `start` claims nothing. Raises `idempotency_mismatch`.
        """
        with self._lock:
            first, stream = self._claimed.get(claim.name, (claim, None))
            if stream is not None and stream.record.error is None:
                if first.digest != claim.digest:
                    raise SluiceError("idempotency_mismatch", param="Idempotency-Key")
                return stream
            stream = start()
            self._claimed[claim.name] = (claim, stream)
            return stream

    def release(self, claim: Claim, stream: Stream) -> None:
        """Forget the claim, if it is still this stream's."""
        with self._lock:
            if self._claimed.get(claim.name, (claim, None))[1] is stream:
                del self._claimed[claim.name]
