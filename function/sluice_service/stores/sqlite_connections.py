"""Connections to one SQLite database, for many threads: one that writes, and others that read.

Measured with eight threads that write and read in turns, each commit synced: with a connection for each thread, writers
wait in SQLite's own polling sleeps and the slowest took 2.7 s; queued before one writer, 0.06 s. With one connection for
everything, readers wait for the disk behind writers (median 1.7 ms instead of 0.1 ms), and behind another process's lock.

A commit is synced (`synchronous=FULL`, 2 to 3 ms): what was said to be saved survives a power cut too.
"""

import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sluice_service.stores.failures import unavailable
from sluice_service.stores.sqlite_schema import migrate

IDLE_READERS = 8


class Connections:
    """Opened at their first use, since SQLite's connections must not cross the server's fork.

    `path` None is a database in memory, which has one connection for everything.
    """

    def __init__(self, path: Path | None, busy_seconds: float) -> None:
        self._path = path.absolute() if path is not None else None
        self._busy_seconds = busy_seconds
        # Guards `_writer`: its making, and the one transaction that runs on it.
        self._writing = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue(IDLE_READERS)
        self._closed = False

    def prepare(self) -> None:
        """Make the file, readable by its owner alone, and its tables. Raises ValueError when it cannot be used."""
        if self._path is None:
            return
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(self._open()) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                migrate(connection)
        except OSError as error:
            raise ValueError(f"CONVERSATIONS names the file {self._path}: {error.strerror}") from error
        except (ValueError, sqlite3.Error) as error:
            raise ValueError(f"CONVERSATIONS names the file {self._path}: {error}") from error

    @contextmanager
    def writing(self, operation: str) -> Iterator[sqlite3.Connection]:
        """The connection that writes, in a transaction: committed at the end, undone when an exception leaves it."""
        with self._translated(operation), self._turn(operation) as remaining_seconds:
            if self._writer is None:
                self._writer = self._open()
                migrate(self._writer)
            self._writer.execute(f"PRAGMA busy_timeout = {int(remaining_seconds * 1000)}")
            with _transaction(self._writer, "BEGIN IMMEDIATE"):
                yield self._writer

    @contextmanager
    def reading(self, operation: str) -> Iterator[sqlite3.Connection]:
        """A connection that reads, in a transaction: all its statements see the same state."""
        if self._path is None:
            with self.writing(operation) as connection:
                yield connection
            return
        with self._translated(operation):
            self._require_open(operation)
            connection = self._reader()
            try:
                with _transaction(connection, "BEGIN"):
                    yield connection
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close them all; one that is being used is closed after its transaction."""
        with self._writing:
            self._closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @contextmanager
    def _turn(self, operation: str) -> Iterator[float]:
        """Wait for this thread's turn to write; how many seconds are left to wait for other processes."""
        deadline = time.monotonic() + self._busy_seconds
        if not self._writing.acquire(timeout=self._busy_seconds):
            raise unavailable("SQLite", operation, "other threads have been writing all the time.")
        try:
            self._require_open(operation)
            yield max(0.0, deadline - time.monotonic())
        finally:
            self._writing.release()

    def _require_open(self, operation: str) -> None:
        if self._closed:
            raise unavailable("SQLite", operation, "it is closed.")

    def _open(self) -> sqlite3.Connection:
        name = ":memory:" if self._path is None else str(self._path)
        connection = sqlite3.connect(
            name, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._open()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()
        if self._closed:
            self.close()

    @contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise unavailable("SQLite", operation, f"{self._path or 'memory'} cannot be used.", error) from error


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # After a failure, also of the commit itself: else the connection would stay in it for good.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
