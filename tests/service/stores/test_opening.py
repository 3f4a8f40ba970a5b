"""From the setting to the store."""

from pathlib import Path

import pytest

from sluice_service.stores.firestore import FirestoreStore
from sluice_service.stores.opening import open_store
from sluice_service.stores.sqlite import SqliteStore


def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    open_store("sqlite:///relative.db").close()
    open_store(f"sqlite:///{tmp_path}/absolute.db").close()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["absolute.db", "relative.db"]


def test_relative_file_stays_the_same_when_the_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///relative.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    store.save_progress("u", "a", 0, {})

    assert store.progress("u", "a").step == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_memory_needs_no_file(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    store = open_store(url)
    store.save_progress("u", "a", 0, {})

    assert isinstance(store, SqliteStore)
    assert list(tmp_path.iterdir()) == []
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "firestore://",
        "firestore://project",
        "firestore://project/database",
        "firestore:///db",
        "firestore://a.b:p/(default)",
    ],
)
def test_firestore_is_opened_without_a_connection(url: str) -> None:
    assert isinstance(open_store(url), FirestoreStore)


@pytest.mark.parametrize(
    "url",
    ["", "sqlite", "sqlite:", "sqlite:/x.db", "sqlite://x.db", "sqlite:///", "postgres://host/db", "firestore://a/b/c",
     "firestore://Project", "firestore://p/d?x=1", "conversations.db", "SQLITE:///x.db", "firestore"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(ValueError, match=r"CONVERSATIONS is .*; allowed are sqlite:///.* firestore://\[project"):
        open_store(url)
