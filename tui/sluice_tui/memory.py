"""What the app remembers between its runs, in the user's state folder."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sluice_tui.drafts import Drafts
from sluice_tui.history import History
from sluice_tui.secret_texts import IsSecret, looks_secret
from sluice_tui.unfinished import Records


class ThemeChoice:
    """The theme that was picked last. Without a path nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def read(self) -> str | None:
        """Its name, None where none was picked."""
        if self._path:
            with suppress(OSError, UnicodeDecodeError):
                return self._path.read_text(encoding="utf-8")[:100].strip() or None
        return None

    def keep(self, name: str) -> None:
        """Remember it."""
        if self._path:
            with suppress(OSError):
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._path.write_text(f"{name}\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Memory:
    """All of it; without records and drafts nothing outlives the terminal."""

    records: Records | None = None
    drafts: Drafts | None = None
    history: History = field(default_factory=History)
    theme: ThemeChoice = field(default_factory=ThemeChoice)

    @classmethod
    def at(cls, folder: Path, is_secret: IsSecret = looks_secret) -> "Memory":
        """What is remembered in that folder; a text that `is_secret` is not."""
        return cls(
            records=Records(folder / "unfinished", is_secret),
            drafts=Drafts(folder / "drafts", is_secret),
            history=History(folder / "history.jsonl", is_secret),
            theme=ThemeChoice(folder / "theme"),
        )
