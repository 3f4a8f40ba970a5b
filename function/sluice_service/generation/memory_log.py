"""A log in this process's memory."""

import threading
from collections.abc import Callable, Sequence

from sluice_service.generation.base import Envelope, Waiter

# What CPython 3.11 spends on a bytes object (33) and its place in a list (8), rounded up.
FRAME_OVERHEAD_BYTES = 48

READ_FRAMES = 512
"""How many frames one read joins: a reader far behind must not hold a second copy of the whole log."""


class MemoryLog:
    """Payloads in a list that only grows, then a tuple of closing frames that is set once, which is the end.

    Readers take no lock: a slice of a list is atomic under the interpreter's lock, and `_closing` is read before the
    payloads, so whoever sees it sees all of them.
    """

    def __init__(self, envelope: Envelope, grew: Callable[[int], object] = lambda _: None) -> None:
        self._envelope = envelope
        self._grew = grew
        self._payloads: list[bytes] = []
        self._closing: tuple[bytes, ...] | None = None
        self._size_bytes = 0
        self._waiters: tuple[Waiter, ...] = ()
        # Guards the replacement of `_waiters`; the writer wakes whichever tuple it finds.
        self._waiters_lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many frames there are."""
        closing = self._closing
        return len(self._payloads) + len(closing or ())

    @property
    def ended(self) -> bool:
        """Whether there will be no more."""
        return self._closing is not None

    @property
    def size_bytes(self) -> int:
        """Payloads, and what Python spends on them."""
        return self._size_bytes

    def append(self, payloads: Sequence[bytes]) -> None:
        """Add a frame for each payload and wake the waiters."""
        if payloads:
            self._payloads.extend(payloads)
            self._wake()
            self._charge(payloads)

    def end(self, frames: Sequence[bytes]) -> None:
        """Add the last frames, whole ones, and wake the waiters for good."""
        self._closing = tuple(frames)
        self._wake()
        self._charge(frames)

    def read(self, cursor: int) -> tuple[bytes, int]:
        """The frames after the first `cursor`, joined, and the cursor after them."""
        closing = self._closing
        payloads = self._payloads[cursor : cursor + READ_FRAMES]
        data, cursor = self._envelope.wrap(payloads), cursor + len(payloads)
        if closing is None or cursor < len(self._payloads):
            return data, cursor
        last = closing[cursor - len(self._payloads) :]
        return data + b"".join(last), cursor + len(last)

    def raw(self, cursor: int) -> tuple[Sequence[bytes], Sequence[bytes], int]:
        """Everything after the first `cursor` frames, unwrapped: payloads, closing frames, and the cursor after them."""
        closing = self._closing or ()
        payloads = self._payloads[cursor:]
        closing = closing[max(0, cursor - len(self._payloads)) :]
        return payloads, closing, cursor + len(payloads) + len(closing)

    def subscribe(self, waiter: Waiter) -> None:
        """Wake this waiter from now on."""
        with self._waiters_lock:
            self._waiters = (*self._waiters, waiter)

    def unsubscribe(self, waiter: Waiter) -> None:
        """Wake it no more."""
        with self._waiters_lock:
            self._waiters = tuple(other for other in self._waiters if other is not waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.wake()

    def _charge(self, frames: Sequence[bytes]) -> None:
        size_bytes = sum(map(len, frames)) + FRAME_OVERHEAD_BYTES * len(frames)
        self._size_bytes += size_bytes
        self._grew(size_bytes)
