"""What every store does with onboarding progress."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from sluice_service.stores.base import ConversationStore, Progress
from sluice_service.stores.opening import open_store
from tests.support.messages import PROPERTY, new_id, texts


@PROPERTY
@given(user=texts, agent=texts, answers=st.dictionaries(texts, texts, max_size=4))
def test_progress_round_trip(store: ConversationStore, user: str, agent: str, answers: dict[str, str]) -> None:
    agent += new_id()

    assert store.progress(user, agent) == Progress(agent, 0, {})
    assert store.save_progress(user, agent, 0, answers)
    assert store.progress(user, agent) == Progress(agent, 1, answers)
    assert store.progress(f"{user}!", agent) == Progress(agent)


def test_only_one_of_two_turns_advances(store: ConversationStore, user: str) -> None:
    store.save_progress(user, "guide", 0, {"goal": "learn"})

    with ThreadPoolExecutor(4) as threads:
        answers = [{"goal": "learn", "level": str(number)} for number in range(4)]
        moved = list(threads.map(lambda each: store.save_progress(user, "guide", 1, each), answers))

    assert moved.count(True) == 1
    assert store.progress(user, "guide") == Progress("guide", 2, answers[moved.index(True)])


def test_saving_the_same_again_is_no_second_step(store: ConversationStore, user: str) -> None:
    assert store.save_progress(user, "guide", 0, {"goal": "learn"})
    assert store.save_progress(user, "guide", 0, {"goal": "learn"})

    assert store.progress(user, "guide").step == 1


def test_turn_that_is_ahead_changes_nothing(store: ConversationStore, user: str) -> None:
    assert not store.save_progress(user, "guide", 3, {"goal": "learn"})

    assert store.progress(user, "guide") == Progress("guide")


def test_reset_starts_again(store: ConversationStore, user: str) -> None:
    store.save_progress(user, "guide", 0, {"goal": "learn"})
    store.save_progress(user, "other", 0, {"goal": "play"})

    store.reset_progress(user, "guide")
    store.reset_progress(user, "guide")

    assert store.progress(user, "guide") == Progress("guide")
    assert store.progress(user, "other").step == 1


def test_progress_survives_a_restart(shared_address: str, user: str) -> None:
    before = open_store(shared_address)
    before.save_progress(user, "guide", 0, {"goal": "learn"})
    before.close()

    after = open_store(shared_address)

    assert after.progress(user, "guide") == Progress("guide", 1, {"goal": "learn"})
    after.close()
