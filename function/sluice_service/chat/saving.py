"""Saving, off the pump and behind the reader's back: tried at once, then again and again until it succeeds."""

import asyncio
import logging
from collections.abc import Callable

from sluice_service.chat.daemon_threads import DaemonThreads
from sluice_service.generation.pump import Pump
from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

SAVE_SECONDS = 2.0
"""How long an answer's end may wait for its being saved."""

STORE_THREADS = 8
"""Threads of their own, since asyncio's default executor also resolves names; bounded, since a store can hang."""

FLUSH_SECONDS = 1.0
"""How long the end of the process may wait for what is unsaved."""

MAX_PENDING = 2_000
MAX_PENDING_BYTES = 32 << 20
"""Saves under way at once, and the text that waits in them; beyond that the store is given up on, not the process."""


class Saver:
    """Lives on the pump's loop; the calls that it is given run on its own threads."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._threads = DaemonThreads(STORE_THREADS)
        self._hurry = asyncio.Event()
        self._pending: dict[asyncio.Task[bool], int] = {}

    async def save(self, call: Callable[[], object], *, what: str, size_bytes: int = 0) -> bool:
        """Whether `call` succeeded within SAVE_SECONDS; if not, it is tried on in the background."""
        task = self.save_later(call, what=what, size_bytes=size_bytes)
        hurried = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait({task, hurried}, timeout=SAVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not task.done():
            _fail(what, "It was not saved in time; it is being retried.", None, lost=0)
        return task.done() and not task.cancelled() and task.result()

    def hurry(self) -> None:
        """Let no answer's end wait for its being saved any more, on the pump's thread."""
        self._hurry.set()

    def save_later(self, call: Callable[[], object], *, what: str, size_bytes: int = 0) -> asyncio.Task[bool]:
        """Save in the background; not at all when too much is waiting already. `size_bytes` is what `call` holds."""
        if len(self._pending) >= MAX_PENDING or sum(self._pending.values()) + size_bytes > MAX_PENDING_BYTES:
            return asyncio.create_task(_given_up(what))
        task = asyncio.create_task(self._until_saved(call, what))
        self._pending[task] = size_bytes
        task.add_done_callback(self._pending.pop)
        return task

    def flush(self) -> None:
        """Wait for what is still unsaved, for a bounded time, then say what is lost. Not for the pump's thread."""
        asyncio.run_coroutine_threadsafe(self._flush(), self._pump.loop).result()

    async def _flush(self) -> None:
        if self._pending:
            await asyncio.wait(self._pending, timeout=FLUSH_SECONDS)
        for task in list(self._pending):
            task.cancel()
        if self._pending:
            lost = len(self._pending)
            _fail("Answers", f"{lost} could not be saved before the process ended.", None, lost=lost)

    async def _until_saved(self, call: Callable[[], object], what: str) -> bool:
        # Imported here: a cold start does without.
        import stamina

        loop = asyncio.get_running_loop()
        try:
            async for attempt in stamina.retry_context(on=_passes, attempts=None, timeout=None, wait_max=10.0):
                with attempt:
                    await asyncio.wrap_future(self._threads.submit(call), loop=loop)
        except SluiceError as error:
            _fail(what, "The store refuses it.", error)
            return False
        except Exception as fault:  # noqa: BLE001 - the boundary: a fault in a store costs the save, never the answer
            _fail(what, "The store has a fault.", fault)
            return False
        return True


async def _given_up(what: str) -> bool:
    _fail(what, "Too many saves are waiting already.", None)
    return False


def _passes(error: Exception) -> bool:
    return isinstance(error, SluiceError) and error.code == "storage_unavailable"


def _fail(what: str, why: str, error: Exception | None, *, lost: int = 1) -> None:
    known = error.code if isinstance(error, SluiceError) else "internal_error" if error else "storage_unavailable"
    unexpected = None if isinstance(error, SluiceError) else error
    severity = logging.ERROR if lost else logging.WARNING
    entries.write(entries.SAVE_FAILED, f"{what}: {why}", severity=severity, error=unexpected, error_type=known, lost=lost)
