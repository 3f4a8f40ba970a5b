"""The documents that people read, and what is in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "bench" / "README.md"])


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language. `sh`, `python` and `js` are run by a test; `bash` needs what tests lack."""
    found = re.findall(rf"(?ms)^( *)```{language}\n(.*?)^\1```$", path.read_text(encoding="utf-8"))
    return [re.sub(rf"(?m)^{indent}", "", text) for indent, text in found]


def prose(path: Path) -> str:
    """The text without its fenced blocks and code."""
    text = re.sub(r"(?ms)^( *)```.*?^\1```$", "", path.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", "`code`", text)


def links(path: Path) -> list[str]:
    """Where its links lead."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(path))


def anchors(path: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text(encoding="utf-8"))
    return {_slug(heading) for heading in re.findall(r"(?m)^#+ (.+)$", text)}


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
