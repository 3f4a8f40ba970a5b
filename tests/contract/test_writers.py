"""Several writers at once: they lose nothing, and each one's messages stay in order."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice_service.stores.base import ConversationStore, Message
from sluice_service.stores.opening import open_store
from sluice_wire.errors import SluiceError
from tests.support.messages import all_messages, message

WRITER = """
import sys
from sluice_service.stores.base import Message
from sluice_service.stores.opening import open_store

address, user, conversation_id, name, count = sys.argv[1:]
store = open_store(address)
for number in range(int(count)):
    store.append(user, conversation_id, "a", [Message(id=f"{name}{number}", role="user", content="x", created=1.0)], "t")
store.close()
"""


def assert_nothing_is_lost(found: Sequence[Message], names: str, count: int) -> None:
    assert len(found) == len(names) * count
    for name in names:
        assert [each.id for each in found if each.id[0] == name] == [f"{name}{number}" for number in range(count)]


def test_two_threads_lose_nothing_and_keep_order(store: ConversationStore, user: str, conversation_id: str) -> None:
    def write(name: str) -> None:
        for number in range(15):
            store.append(user, conversation_id, "a", [message(f"{name}{number}")], "t")

    with ThreadPoolExecutor() as threads:
        list(threads.map(write, "ab"))

    assert_nothing_is_lost(all_messages(store, user, conversation_id, 7), "ab", 15)
    assert store.conversation(user, conversation_id).message_count == 30


def test_two_processes_lose_nothing_and_keep_order(shared_address: str, user: str, conversation_id: str) -> None:
    command = [sys.executable, "-c", WRITER, shared_address, user, conversation_id]
    writers = [subprocess.Popen([*command, name, "15"], env=os.environ) for name in "ab"]

    assert [writer.wait(30) for writer in writers] == [0, 0]
    store = open_store(shared_address)
    assert_nothing_is_lost(all_messages(store, user, conversation_id), "ab", 15)
    store.close()


def test_first_of_two_users_gets_the_id(store: ConversationStore, user: str, conversation_id: str) -> None:
    def claim(name: str) -> bool:
        try:
            store.append(name, conversation_id, "a", [message("1", name)], "t")
        except SluiceError as error:
            assert error.code == "not_found"  # noqa: PT017 - it may also not be raised
            return False
        return True

    names = [f"{user}-{number}" for number in range(4)]
    with ThreadPoolExecutor() as threads:
        won = list(threads.map(claim, names))

    owner = names[won.index(True)]
    assert won.count(True) == 1
    assert [each.content for each in all_messages(store, owner, conversation_id)] == [owner]


def test_closed_store_says_that_it_is_unavailable(shared_address: str, user: str) -> None:
    store = open_store(shared_address)
    store.progress(user, "a")
    store.save_progress(user, "a", 0, {})

    store.close()

    for call in (lambda: store.progress(user, "a"), lambda: store.save_progress(user, "a", 0, {})):
        with pytest.raises(SluiceError, match="storage_unavailable"):
            call()


FORKED = """
import os, sys
from sluice_service.stores.opening import open_store

store = open_store(sys.argv[1])
children = [os.fork()]
if children[0]:
    children.append(os.fork())
if 0 in children:
    held = store.save_progress(sys.argv[2], str(len(children)), 0, {})
    os._exit(0 if held else 1)
sys.exit(any(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_store_opened_before_the_server_forks_works_in_its_workers(shared_address: str, user: str) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED, shared_address, user], timeout=30)

    assert done.returncode == 0
