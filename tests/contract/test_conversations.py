"""What every store does with conversations."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_service.stores.base import MAX_APPEND_BYTES, MAX_TITLE_CHARACTERS, ConversationStore, Message
from sluice_wire.errors import SluiceError
from tests.support.messages import PROPERTY, all_messages, message, new_id, texts

ids = st.one_of(
    st.text(st.characters(exclude_categories=()), min_size=1, max_size=128),
    st.sampled_from([".", "..", "/", "a/b", "__x__", "%2F", "-", "\0"]),
)
milliseconds = st.none() | st.floats(0, 1e9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
messages = st.builds(
    Message,
    id=ids,
    role=st.sampled_from(["user", "assistant", "system", "tool"]),
    content=texts,
    created=st.floats(0, 4e9),
    status=st.sampled_from(["complete", "partial", "failed"]),
    usage=st.none() | st.dictionaries(texts, json_values, max_size=4),
    finish_reason=st.none() | texts,
    stream_id=st.none() | texts,
    time_to_first_token_ms=milliseconds,
    generation_ms=milliseconds,
)


@PROPERTY
@given(title=texts, agent=texts, stored=st.lists(messages, min_size=1, max_size=5, unique_by=lambda message: message.id))
def test_conversation_storage_round_trip(store: ConversationStore, title: str, agent: str, stored: list[Message]) -> None:
    user, conversation_id = new_id(), new_id()

    saved = store.append(user, conversation_id, agent, stored, title)

    assert list(store.messages(user, conversation_id, 5).items) == stored
    assert store.conversation(user, conversation_id) == saved
    assert (saved.title, saved.agent, saved.user, saved.message_count) == (title, agent, user, len(stored))


@PROPERTY
@given(
    appended=st.lists(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=20)), max_size=4), min_size=1, max_size=4),
    limit=st.integers(1, 6),
    max_messages=st.integers(1, 8),
    max_characters=st.integers(0, 60),
)
def test_history_is_preserved_in_order(
    store: ConversationStore,
    appended: list[list[tuple[int, str]]],
    limit: int,
    max_messages: int,
    max_characters: int,
) -> None:
    user, conversation_id = new_id(), new_id()
    expected: dict[str, str] = {}

    for batch in appended:
        expected.update((str(number), text) for number, text in batch)
        store.append(user, conversation_id, "a", [message(str(number), text) for number, text in batch], "t")

    history = [(found.id, found.content) for found in all_messages(store, user, conversation_id, limit)]
    recent = [(found.id, found.content) for found in store.recent(user, conversation_id, max_messages, max_characters)]
    assert history == list(expected.items())
    assert history[len(history) - len(recent) :] == recent
    assert len(recent) <= max_messages
    assert sum(len(text) for _, text in recent) <= max_characters
    longer = history[len(history) - len(recent) - 1 :]
    assert len(recent) in (len(history), max_messages) or sum(len(text) for _, text in longer) > max_characters


def test_message_saved_again_replaces_the_first_in_its_place(
    store: ConversationStore, user: str, conversation_id: str
) -> None:
    asked, partial = message("1"), message("2", "Hel", status="partial", role="assistant")
    whole = replace(partial, content="Hello", status="complete", finish_reason="stop", usage={"total_tokens": 3})
    store.append(user, conversation_id, "a", [asked, partial], "t")
    store.append(user, conversation_id, "a", [message("3")], "t")

    saved = store.append(user, conversation_id, "a", [asked, whole], "t")

    assert all_messages(store, user, conversation_id) == [asked, whole, message("3")]
    assert saved.message_count == 3


def test_late_partial_answer_does_not_replace_the_complete_one(
    store: ConversationStore, user: str, conversation_id: str
) -> None:
    whole = message("1", "Hello", role="assistant")
    store.append(user, conversation_id, "a", [whole], "t")

    saved = store.append(user, conversation_id, "a", [replace(whole, content="Hel", status="partial")], "t")

    assert all_messages(store, user, conversation_id) == [whole]
    assert saved.message_count == 1


def test_agent_and_title_are_those_of_the_first_turn(store: ConversationStore, user: str, conversation_id: str) -> None:
    first = store.append(user, conversation_id, "one", [message("1")], "First")

    later = store.append(user, conversation_id, "two", [message("2")], "Second")

    assert (later.agent, later.title, later.created) == ("one", "First", first.created)
    assert later.updated >= first.updated


def test_answer_does_not_bring_a_deleted_conversation_back(
    store: ConversationStore, user: str, conversation_id: str
) -> None:
    store.append(user, conversation_id, "a", [message("question")], "t")
    assert store.append(user, conversation_id, "a", [message("answer")], None).message_count == 2
    store.delete(user, conversation_id)

    with pytest.raises(SluiceError, match="not_found"):
        store.append(user, conversation_id, "a", [message("late answer")], None)

    assert store.conversations(user, 10).items == ()


@pytest.mark.parametrize("conversation_id", [".", "..", "__x__", "a/b", "%2F", "!" * 128, "~", "a.b", "-x"])
def test_any_visible_id_will_do(store: ConversationStore, user: str, conversation_id: str) -> None:
    mine = f"{conversation_id[:90]}{user}"
    store.append(user, mine, "a", [message("1", mine)], "t")

    assert [found.content for found in all_messages(store, user, mine)] == [mine]
    assert store.conversation(user, mine).id == mine


@pytest.mark.parametrize("conversation_id", [".", "..", "__x__", "/", "//"])
def test_ids_that_mean_something_to_a_path_are_only_ids(store: ConversationStore, user: str, conversation_id: str) -> None:
    store.append(user, conversation_id, "a", [message(conversation_id, conversation_id)], "t")

    assert [found.content for found in all_messages(store, user, conversation_id)] == [conversation_id]

    store.delete(user, conversation_id)


LENGTHS = [249_999, 250_000, 250_001, 1 << 20, MAX_APPEND_BYTES]


@pytest.mark.parametrize("content", ["x" * length for length in LENGTHS] + ["😀" * (MAX_APPEND_BYTES // 4)], ids=len)
def test_long_message_comes_back_whole(store: ConversationStore, user: str, conversation_id: str, content: str) -> None:
    store.append(user, conversation_id, "a", [message("1", content)], "t")

    assert all_messages(store, user, conversation_id) == [message("1", content)]
    assert store.recent(user, conversation_id, 10, len(content)) == [message("1", content)]


def test_long_message_can_become_shorter_and_longer(store: ConversationStore, user: str, conversation_id: str) -> None:
    for length in (900_000, 300_000, 10, 1_000_000):
        store.append(user, conversation_id, "a", [message("1", "x" * length)], "t")

        assert [len(found.content) for found in all_messages(store, user, conversation_id)] == [length]


def test_too_much_text_at_once_is_refused(store: ConversationStore, user: str, conversation_id: str) -> None:
    with pytest.raises(SluiceError, match="request_too_large"):
        store.append(user, conversation_id, "a", [message("1", "é" * (MAX_APPEND_BYTES // 2)), message("2", "x")], "t")

    assert store.recent(user, conversation_id, 10, 10) == []


def test_page_of_long_messages_is_shorter_than_asked_for(store: ConversationStore, user: str, conversation_id: str) -> None:
    for number in range(4):
        store.append(user, conversation_id, "a", [message(str(number), "x" * 400_000)], "t")

    first = store.messages(user, conversation_id, 100)

    assert len(first.items) == 1
    assert [found.id for found in all_messages(store, user, conversation_id)] == ["0", "1", "2", "3"]


def test_nobody_sees_or_touches_another_users_conversation(
    store: ConversationStore, user: str, conversation_id: str
) -> None:
    store.append(user, conversation_id, "a", [message("1")], "t")

    for call in (
        lambda: store.append("mallory", conversation_id, "a", [message("2")], "t"),
        lambda: store.recent("mallory", conversation_id, 10, 1000),
        lambda: store.conversation("mallory", conversation_id),
        lambda: store.messages("mallory", conversation_id, 10),
        lambda: store.rename("mallory", conversation_id, "Mine"),
        lambda: store.delete("mallory", conversation_id),
        lambda: store.fork("mallory", conversation_id, "1"),
    ):
        with pytest.raises(SluiceError, match="not_found"):
            call()
    assert store.conversations("mallory", 10).items == ()
    assert all_messages(store, user, conversation_id) == [message("1")]


def test_what_does_not_exist_is_not_found(store: ConversationStore, user: str, conversation_id: str) -> None:
    for call in (
        lambda: store.conversation(user, conversation_id),
        lambda: store.messages(user, conversation_id, 10),
        lambda: store.rename(user, conversation_id, "t"),
        lambda: store.delete(user, conversation_id),
        lambda: store.fork(user, conversation_id, "1"),
    ):
        with pytest.raises(SluiceError, match="not_found"):
            call()
    assert store.recent(user, conversation_id, 10, 1000) == []


def test_conversations_are_listed_by_their_last_change(store: ConversationStore, user: str) -> None:
    made = [f"{number}-{user}" for number in range(5)]
    for conversation_id in [*made, made[1]]:
        store.append(user, conversation_id, "a", [message(new_id())], "t")

    first = store.conversations(user, 2)
    second = store.conversations(user, 2, first.next_cursor)
    third = store.conversations(user, 2, second.next_cursor)

    listed = [found.id for page in (first, second, third) for found in page.items]
    assert listed == [made[1], made[4], made[3], made[2], made[0]]
    assert third.next_cursor is None


def test_list_has_a_last_page_and_no_empty_one(store: ConversationStore, user: str) -> None:
    for number in range(2):
        store.append(user, f"{number}-{user}", "a", [message("1"), message("2")], "t")

    assert store.conversations(user, 2).next_cursor is None
    assert store.messages(user, f"0-{user}", 2).next_cursor is None


def test_rename_changes_the_title_alone(store: ConversationStore, user: str, conversation_id: str) -> None:
    before = store.append(user, conversation_id, "a", [message("1")], "t")

    renamed = store.rename(user, conversation_id, "Zoë\0")

    assert renamed == replace(before, title="Zoë\0") == store.conversation(user, conversation_id)
    assert store.conversations(user, 1).items == (renamed,)


def test_deleted_conversation_leaves_nothing_and_frees_its_id(
    store: ConversationStore, user: str, conversation_id: str
) -> None:
    many = [message(str(number)) for number in range(450)]
    store.append(user, conversation_id, "a", [*many, message("long", "x" * 600_000)], "t")

    store.delete(user, conversation_id)

    assert store.conversations(user, 10).items == ()
    assert store.recent(user, conversation_id, 10, 1000) == []
    store.append("somebody else", conversation_id, "b", [message("1", "new")], "n")
    assert all_messages(store, "somebody else", conversation_id) == [message("1", "new")]


def test_fork_holds_the_messages_up_to_the_chosen_one(store: ConversationStore, user: str, conversation_id: str) -> None:
    stored = [message(str(number), "long" * 90_000 if number == 3 else "short") for number in range(130)]
    store.append(user, conversation_id, "a", stored, "Title")

    fork = store.fork(user, conversation_id, "119")
    store.append(user, fork.id, "a", [message("new")], "t")

    assert all_messages(store, user, fork.id) == [*stored[:120], message("new")]
    assert all_messages(store, user, conversation_id) == stored
    assert (fork.title, fork.agent, fork.message_count) == ("Title (2)", "a", 120)
    assert [found.id for found in store.conversations(user, 10).items] == [fork.id, conversation_id]


def test_fork_of_a_fork_has_the_next_number(store: ConversationStore, user: str, conversation_id: str) -> None:
    store.append(user, conversation_id, "a", [message("1")], "x" * MAX_TITLE_CHARACTERS)

    fork = store.fork(user, conversation_id, "1")
    fork_of_fork = store.fork(user, fork.id, "1")

    cut = "x" * (MAX_TITLE_CHARACTERS - 4)
    assert [fork.title, fork_of_fork.title] == [f"{cut} (2)", f"{cut} (3)"]


def test_fork_at_an_unknown_message_is_not_found(store: ConversationStore, user: str, conversation_id: str) -> None:
    store.append(user, conversation_id, "a", [message("1")], "t")

    with pytest.raises(SluiceError, match="not_found"):
        store.fork(user, conversation_id, "2")

    assert len(store.conversations(user, 10).items) == 1


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", "A" * 5000, "not base64!", "\ud800", "=", "a b"])
def test_corrupt_cursor_is_refused(store: ConversationStore, user: str, conversation_id: str, cursor: str) -> None:
    store.append(user, conversation_id, "a", [message("1")], "t")

    for call in (
        lambda: store.conversations(user, 1, cursor),
        lambda: store.messages(user, conversation_id, 1, cursor),
    ):
        with pytest.raises(SluiceError) as refused:
            call()
        assert (refused.value.code, refused.value.param) == ("invalid_request", "cursor")


def test_cursor_of_another_list_is_refused(store: ConversationStore, user: str) -> None:
    for name in ("one", "two"):
        store.append(user, name + user, "a", [message("1"), message("2")], "t")
        store.append("other" + user, name + "other" + user, "a", [message("1")], "t")
    of_user = store.conversations(user, 1).next_cursor
    of_one = store.messages(user, "one" + user, 1).next_cursor

    for call in (
        lambda: store.conversations("other" + user, 1, of_user),
        lambda: store.conversations(user, 1, of_one),
        lambda: store.messages(user, "two" + user, 1, of_one),
        lambda: store.messages(user, "one" + user, 1, of_user),
    ):
        with pytest.raises(SluiceError, match="invalid_request"):
            call()
