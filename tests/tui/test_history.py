"""What was sent, kept for the next terminal."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_tui.api import Endpoint
from sluice_tui.connection import Connection
from sluice_tui.drafts import Draft
from sluice_tui.history import MAX_ENTRIES, MAX_ENTRY_CHARACTERS, MAX_FILE_BYTES, History
from sluice_tui.memory import Memory
from sluice_tui.secret_texts import looks_secret
from sluice_tui.unfinished import Unfinished


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=50), max_size=8))
def test_what_was_sent_is_recalled_by_the_next_terminal(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("state") / "history.jsonl"
    before = History(path)
    for text in texts:
        before.add(text)

    assert History(path).entries == before.entries


def test_it_is_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "sluice" / "history.jsonl"
    History(path).add("hello")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "secret",
    [
        "use sk-sluice-0123456789abcdefABCDEF please",
        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
        "AKIAIOSFODNN7EXAMPLE",
        "sk-ant-api03-abcdefghijklmnop",
        "gsk_abcdefghijklmnopqrstuvwx",
        "glpat-abcdefghijklmnopqrst",
        "xai-abcdefghijklmnopqrstuvwx",
    ],
)
def test_what_looks_like_a_key_is_not_written_down(tmp_path: Path, secret: str) -> None:
    history = History(tmp_path / "history.jsonl")
    history.add("fine")
    history.add(secret)

    assert history.entries == ["fine", secret]
    assert History(tmp_path / "history.jsonl").entries == ["fine"]


def test_neither_a_known_secret_nor_the_terminals_own_key_reaches_a_disk(tmp_path: Path) -> None:
    connection = Connection(Endpoint("http://x.test/v1", "our own key"))
    memory = Memory.at(tmp_path, lambda text: looks_secret(text) or connection.has_key_in(text))
    assert memory.drafts
    assert memory.records

    for secret in ("use our own key for it", "gsk_abcdefghijklmnopqrstuvwx"):
        memory.history.add(secret)
        memory.drafts.keep(Draft("a paste: m", {"m": secret}))
        memory.records.keep(Unfinished("http://x.test/v1", "a", "s1", secret))
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    memory.drafts.keep(Draft("a draft"))
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["drafts"]
    memory.drafts.keep(Draft("a draft with sk-abcdefghijklmnopqrst"))
    assert not list(tmp_path.rglob("*.json"))


def test_the_file_is_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    line = json.dumps("x" * 10_000).encode() + b"\n"
    path.write_bytes(line * (MAX_FILE_BYTES // len(line) + 10))
    History(path).add("newest")

    entries = History(path).entries

    assert entries[-1] == "newest"
    assert len(entries) <= MAX_ENTRIES
    assert path.stat().st_size <= MAX_FILE_BYTES


def test_a_very_long_text_is_recalled_but_not_kept(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.add("x" * (MAX_ENTRY_CHARACTERS + 1))

    assert len(history.entries) == 1
    assert History(tmp_path / "history.jsonl").entries == []


def test_a_damaged_file_costs_only_its_damaged_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'"one"\n{"a"\n\xff\xfe\n17\n"two"\n')

    assert History(path).entries == ["one", "two"]


def test_a_disk_that_refuses_costs_nothing_but_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "history.jsonl")

    history.add("hello")

    assert history.entries == ["hello"]
