"""The tables, as the migrations that make them. `PRAGMA user_version` counts how many a file has had."""

import sqlite3

# One tuple of statements for each version; what is released is never changed, only followed by another.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE conversations (
            id TEXT PRIMARY KEY NOT NULL,
            user TEXT NOT NULL,
            agent TEXT NOT NULL,
            title TEXT NOT NULL,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            message_count INTEGER NOT NULL
        )""",
        "CREATE INDEX conversations_of_user ON conversations (user, updated, id)",
        # The content comes last: SQLite reads the columns before it without touching a long text's overflow pages.
        """CREATE TABLE messages (
            conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE
                DEFERRABLE INITIALLY DEFERRED,
            sequence INTEGER NOT NULL,
            id TEXT NOT NULL,
            role TEXT NOT NULL,
            status TEXT NOT NULL,
            created REAL NOT NULL,
            usage TEXT,
            finish_reason TEXT,
            stream_id TEXT,
            time_to_first_token_ms REAL,
            generation_ms REAL,
            content TEXT NOT NULL,
            PRIMARY KEY (conversation, sequence),
            UNIQUE (conversation, id)
        )""",
        """CREATE TABLE progress (
            user TEXT NOT NULL,
            agent TEXT NOT NULL,
            step INTEGER NOT NULL,
            answers TEXT NOT NULL,
            PRIMARY KEY (user, agent)
        ) WITHOUT ROWID""",
    ),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file up to date, all or nothing; two processes that start at once take turns.

    Raises ValueError for a file that a newer version has written, and sqlite3.Error.
    """
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise ValueError(f"its schema has version {version}, and this version of Sluice knows {len(MIGRATIONS)}")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
