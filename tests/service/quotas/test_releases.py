"""Places that are freed in the shared store after their streams have ended."""

import threading
from collections.abc import Sequence

from sluice_service.quotas.releases import Place, Releases
from tests.service.quotas.backends import Clock


class Store:
    """Frees nothing until it is told that it can."""

    def __init__(self) -> None:
        self.can_free = False
        self.asked: list[list[Place]] = []
        self.was_asked = threading.Event()

    def free(self, places: Sequence[Place]) -> bool:
        self.asked.append(list(places))
        self.was_asked.set()
        return self.can_free


def test_place_is_freed_by_itself() -> None:
    store = Store()
    store.can_free = True
    releases = Releases(store.free)

    releases.add("alice", "s1", ends_at=float("inf"))

    assert releases.flush(10)
    assert store.asked == [[("alice", "s1")]]


def test_store_that_could_not_is_asked_again() -> None:
    store = Store()
    releases = Releases(store.free)
    releases.add("alice", "s1", ends_at=float("inf"))
    assert store.was_asked.wait(10)

    store.can_free = True

    assert releases.flush(10)
    assert store.asked[-1] == [("alice", "s1")]


def test_place_whose_lease_has_ended_is_forgotten() -> None:
    store, clock = Store(), Clock()
    releases = Releases(store.free, clock)
    releases.add("alice", "s1", ends_at=clock.seconds + 1)
    assert store.was_asked.wait(10)

    clock.seconds += 1

    assert releases.flush(10)


def test_places_that_wait_are_known_by_user() -> None:
    releases = Releases(Store().free)

    releases.add("alice", "s1", ends_at=float("inf"))
    releases.add("bob", "s2", ends_at=float("inf"))

    assert releases.waiting("alice") == [("alice", "s1")]
    assert not releases.flush(0)
