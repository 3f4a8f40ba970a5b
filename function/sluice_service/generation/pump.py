"""The pump: one asyncio loop on one thread, on which every generation of the process runs."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import uvloop

from sluice_service.telemetry.context import for_the_request


class Pump:
    """Started by its first use: the app is built before the server forks, and a thread does not survive that."""

    def __init__(self) -> None:
        # Guards the start; `_loop` is set once and never again.
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, for callbacks that must be registered with it."""
        return self._loop or self._start()

    def post(self, call: Callable[..., object], *arguments: Any) -> None:
        """Run `call` on the pump's thread, soon and in the order of posting, for the request that this thread works for."""
        self.loop.call_soon_threadsafe(call, *arguments, context=for_the_request())

    def stop(self) -> None:
        """End the loop and its thread; whatever runs there is cancelled first. No-op when it was never used."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                loop = uvloop.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(loop,), name="pump", daemon=True)
                self._thread.start()
                self._loop = loop
        return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop().run_forever()
