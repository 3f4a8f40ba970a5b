"""The page about the chat: its keys are those of the program."""

from sluice_tui.key_names import KEYS
from tests.docs.documents import ROOT


def test_every_key_is_documented_as_it_is() -> None:
    page = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")

    assert [line for line in page.splitlines() if line.startswith("| `")] == [
        f"| `{name}` | `{keys}` | {what} |" for name, (keys, _, what) in KEYS.items()
    ]
