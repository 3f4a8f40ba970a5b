"""The seam between the instances of the service: streams and claims that outlive the process that made them."""

from typing import Protocol

from sluice_service.generation.base import Stream
from sluice_service.generation.claims import Claim
from sluice_service.generation.generation import Generation


class Sharing(Protocol):
    """What one instance lets the others know. `find` and `claim` block, for a bounded time, and so are not for the pump."""

    def publish(self, generation: Generation) -> None:
        """Let the other instances follow it, on the pump's thread, which never waits for them."""
        ...

    def find(self, stream_id: str, owner: str, *, patient: bool) -> Stream | None:
        """Another instance's stream of this owner, with all that it has so far. Raises `storage_unavailable`.

        `patient`: look again a little later, for it may have begun this instant.
        """
        ...

    def claim(self, claim: Claim, stream_id: str) -> Stream | None:
        """Claim a key for the stream that is about to start; what holds it already, if that runs or ended well.

        Raises `idempotency_mismatch`. When the store cannot be asked the key is claimed in this instance alone, and a log
        entry says so: a turn that could be served is not refused for it.
        """
        ...

    def release(self, claim: Claim, stream_id: str) -> None:
        """Give a claim back whose stream never started."""
        ...

    def flush(self) -> None:
        """Wait, for a bounded time, until the other instances know all that has been published."""
        ...
