"""What was written and not yet sent, so that a terminal that dies, or is left, does not take it along."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sluice_tui.held_file import HeldFile
from sluice_tui.secret_texts import IsSecret, looks_secret

MAX_AGE_SECONDS = 7 * 24 * 3600
_MAX_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt's text, and the long pastes that stand folded in it, by their marks."""

    text: str
    pasted: Mapping[str, str] = field(default_factory=dict)


class Drafts:
    """This terminal's own draft, and those that others left behind."""

    def __init__(self, folder: Path, is_secret: IsSecret = looks_secret) -> None:
        self._is_secret = is_secret
        self._file = HeldFile(folder, MAX_AGE_SECONDS, _MAX_BYTES)

    def keep(self, draft: Draft) -> bool:
        """Write it down; one that is empty, or holds a key, is dropped.

        False where it is too long: what was there before stays.
        """
        if draft.text.strip() and not any(map(self._is_secret, (draft.text, *draft.pasted.values()))):
            return self._file.keep(asdict(draft))
        self._file.drop()
        return True

    def release(self) -> None:
        """Leave it to the next terminal."""
        self._file.release()

    def take_over(self) -> Draft | None:
        """The newest one that its terminal left behind."""
        return self._file.take_over(_draft)


def _draft(body: Any) -> Draft | None:
    text, pasted = (body.get("text"), body.get("pasted")) if isinstance(body, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(pasted, dict):
        return None
    return Draft(text, pasted) if all(isinstance(part, str) for part in pasted.values()) else None
