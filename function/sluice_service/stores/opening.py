"""From the setting CONVERSATIONS to the store that it names."""

import re
from pathlib import Path

from sluice_service.stores.base import ConversationStore

_ALLOWED = (
    "sqlite:///conversations.db (a file; four slashes for an absolute path), sqlite:// (in memory, gone at the end), "
    "or firestore://[project[/database]]"
)
_FIRESTORE = re.compile(r"(?P<project>[a-z0-9:.-]*)(/(?P<database>[a-z0-9-]+|\(default\)))?", re.ASCII)


def open_store(url: str) -> ConversationStore:
    """The store that a URL names. Raises ValueError, whose message names CONVERSATIONS and what is allowed.

    A SQLite file is made and brought up to date here; connections are opened at the first use, in the server's worker.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite" and rest != "/" and rest[:1] in ("", "/"):
        # Imported here, like the other: only the store that is used costs anything.
        from sluice_service.stores.sqlite import SqliteStore

        return SqliteStore(None if rest in ("", "/:memory:") else Path(rest[1:]))
    if separator and scheme == "firestore" and (named := _FIRESTORE.fullmatch(rest)):
        from sluice_service.stores.firestore import FirestoreStore

        return FirestoreStore(named["project"] or None, named["database"] or None)
    raise ValueError(f"CONVERSATIONS is {url!r}; allowed are {_ALLOWED}.")
