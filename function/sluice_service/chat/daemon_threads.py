"""A pool of threads that does not hold up the end of the process.

concurrent.futures joins its threads when the interpreter ends; a thread that waits for a store that hangs would make the
process outlive the ten seconds that Cloud Run gives it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


class DaemonThreads:
    """Runs calls on up to `count` threads, made when they are needed; any thread may submit."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        # Guards the making of threads.
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], Result]) -> "Future[Result]":
        """Run `call` as soon as a thread is free."""
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is the caller's, and raised there
                future.set_exception(error)
            else:
                future.set_result(result)

        self._calls.put(run)
        self._grow()
        return future

    def _grow(self) -> None:
        with self._lock:
            if len(self._threads) < self._count:
                thread = threading.Thread(target=self._work, name="store", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        while True:
            self._calls.get()()
