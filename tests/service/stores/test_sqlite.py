"""What only a file can do to a store: be locked, be broken, be killed over, not be there."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sluice_service.stores.opening import open_store
from sluice_service.stores.sqlite import SqliteStore
from sluice_wire.errors import SluiceError
from tests.support.messages import all_messages, message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, busy_seconds=0.4)
    yield store
    store.close()


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program is writing."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_files_are_for_their_owner_alone(store: SqliteStore, path: Path) -> None:
    store.append("u", "c", "a", [message("1")], "t")

    files = list(path.parent.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_locked_file_is_waited_for_and_then_unavailable(store: SqliteStore, path: Path) -> None:
    store.append("u", "c", "a", [message("1")], "t")

    with locked(path):
        began = time.monotonic()
        with pytest.raises(SluiceError, match="storage_unavailable"):
            store.append("u", "c", "a", [message("2")], "t")
        assert 0.3 < time.monotonic() - began < 1.5

    store.append("u", "c", "a", [message("3")], "t")
    assert [found.id for found in all_messages(store, "u", "c")] == ["1", "3"]


def test_time_spent_behind_another_thread_counts_too(path: Path) -> None:
    store = SqliteStore(path, busy_seconds=1)
    waited_seconds: list[float] = []

    def write() -> None:
        began = time.monotonic()
        with pytest.raises(SluiceError, match="storage_unavailable"):
            store.save_progress("u", "a", 0, {})
        waited_seconds.append(time.monotonic() - began)

    with locked(path):
        # The second comes while the first waits for the file, and gets its turn half a second later.
        writers = [threading.Timer(after_seconds, write) for after_seconds in (0, 0.5)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

    assert len(waited_seconds) == 2
    assert max(waited_seconds) < 1.4
    store.close()


def test_write_goes_on_when_the_lock_is_released(store: SqliteStore, path: Path) -> None:
    with locked(path) as connection:
        release = threading.Timer(0.15, connection.rollback)
        release.start()

        saved = store.append("u", "c", "a", [message("1")], "t")

        release.join()
    assert saved.message_count == 1


def test_locked_file_can_still_be_read(store: SqliteStore, path: Path) -> None:
    store.append("u", "c", "a", [message("1")], "t")

    with locked(path):
        assert all_messages(store, "u", "c") == [message("1")]


WRITER = """
import sys
from sluice_service.stores.base import Message
from sluice_service.stores.opening import open_store

store = open_store(sys.argv[1])
for number in range(100_000):
    three = [Message(id=f"{number}{part}", role="user", content="x" * 20_000, created=1.0) for part in "abc"]
    store.append("u", "c", "a", three, "t")
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 5, 12])
def test_killed_writer_loses_nothing_that_was_saved_and_leaves_nothing_half(path: Path, acknowledged: int) -> None:
    command = [sys.executable, "-c", WRITER, f"sqlite:///{path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [next(writer.stdout) for _ in range(acknowledged)]
        writer.kill()
        said += writer.stdout.readlines()

    store = open_store(f"sqlite:///{path}")
    found = [each.id for each in all_messages(store, "u", "c")]
    assert found == [f"{number}{part}" for number in range(len(found) // 3) for part in "abc"]
    assert len(found) // 3 >= len(said)
    assert store.append("u", "c", "a", [message("after")], "t").message_count == len(found) + 1
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_sixteen_threads_that_read_and_write_disturb_each_other_little(path: Path) -> None:
    store = SqliteStore(path)

    def work(number: int) -> int:
        for turn in range(10):
            store.append(f"u{number}", f"c{number}", "a", [message(str(turn))], "t")
            store.recent(f"u{number}", f"c{number}", 5, 100)
        return store.conversation(f"u{number}", f"c{number}").message_count

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(16))) == [10] * 16
    store.close()


def make_folder(path: Path) -> None:
    path.mkdir()


def make_garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, and has never been one" * 100)


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize(
    ("make", "reason"),
    [(make_folder, "directory"), (make_garbage, "not a database"), (make_newer, "version 999")],
    ids=["a folder", "no database", "of a newer version"],
)
def test_file_that_cannot_be_used_stops_the_start(path: Path, make: Callable[[Path], None], reason: str) -> None:
    make(path)

    with pytest.raises(ValueError, match=rf"CONVERSATIONS names the file {path}: .*{reason}"):
        SqliteStore(path)


def test_missing_folder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"CONVERSATIONS names the file .*/missing/x.db: No such file or directory"):
        SqliteStore(tmp_path / "missing" / "x.db")


def test_file_that_is_broken_later_is_unavailable(store: SqliteStore, path: Path) -> None:
    make_garbage(path)

    for call in (lambda: store.conversations("u", 10), lambda: store.append("u", "c", "a", [message("1")], "t")):
        with pytest.raises(SluiceError, match="storage_unavailable"):
            call()


def test_several_can_make_the_same_file_at_once(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(SqliteStore, [path] * 8))

    for number, store in enumerate(stores):
        assert store.append("u", "c", "a", [message(str(number))], "t").message_count == number + 1
        store.close()


def test_unreadable_transaction_is_undone(store: SqliteStore) -> None:
    store.append("u", "c", "a", [message("1")], "t")

    with pytest.raises(TypeError):
        store.append("u", "c", "a", [message("2"), message("3", usage={"not": {"JSON"}})], "t")

    assert store.append("u", "c", "a", [message("4")], "t").message_count == 2
    assert [found.id for found in all_messages(store, "u", "c")] == ["1", "4"]
