"""Saving, off the pump and behind the reader's back: tried at once, then again and again until it succeeds."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import stamina

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
"""Saves under way at once; beyond them the store is given up on, not the process."""


class Saver:
    """Lives on the pump's loop; the calls that it is given run on its own threads."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="store")
        self._pending: set[asyncio.Task[bool]] = set()

    async def save(self, call: Callable[[], object], *, what: str) -> bool:
        """Whether `call` succeeded within SAVE_SECONDS; if not, it is tried on in the background."""
        task = self.save_later(call, what=what)
        await asyncio.wait({task}, timeout=SAVE_SECONDS)
        if not task.done():
            _fail(what, "It was not saved in time; it is being retried.", None)
        return task.done() and task.result()

    def save_later(self, call: Callable[[], object], *, what: str) -> asyncio.Task[bool]:
        """Save in the background; not at all when too many saves are waiting already."""
        if len(self._pending) >= MAX_PENDING:
            return asyncio.create_task(_given_up(what))
        task = asyncio.create_task(self._until_saved(call, what))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return task

    def flush(self) -> None:
        """Wait for what is still unsaved, for a bounded time, then say what is lost. Not for the pump's thread."""
        asyncio.run_coroutine_threadsafe(self._flush(), self._pump.loop).result()

    async def _flush(self) -> None:
        if self._pending:
            await asyncio.wait(self._pending, timeout=FLUSH_SECONDS)
        for task in self._pending:
            task.cancel()
        if self._pending:
            _fail("Answers", f"{len(self._pending)} could not be saved before the process ended.", None)

    async def _until_saved(self, call: Callable[[], object], what: str) -> bool:
        loop = asyncio.get_running_loop()
        try:
            async for attempt in stamina.retry_context(on=_passes, attempts=None, timeout=None, wait_max=10.0):
                with attempt:
                    await loop.run_in_executor(self._threads, call)
        except SluiceError as error:
            _fail(what, "The store refuses it.", error)
            return False
        return True


async def _given_up(what: str) -> bool:
    _fail(what, "Too many saves are waiting already.", None)
    return False


def _passes(error: Exception) -> bool:
    return isinstance(error, SluiceError) and error.code == "storage_unavailable"


def _fail(what: str, why: str, error: SluiceError | None) -> None:
    code = error.code if error else "storage_unavailable"
    entries.write(entries.SAVE_FAILED, f"{what}: {why}", severity=logging.ERROR, error_type=code)
