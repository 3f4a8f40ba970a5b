"""Generated files: their generators write them, and the tests ask the generators whether they are still true."""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def write_or_check(description: str, texts: Mapping[str, str]) -> int:
    """Write each text to its path below the checkout; with `--check` on the command line only compare.

    Returns the exit status: 1 when a file is not what its generator would write.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    checking = parser.parse_args().check
    stale = [path for path, text in texts.items() if _current(ROOT / path) != text]
    for path in stale:
        if checking:
            print(f"{path} is stale: run {Path(sys.argv[0]).name}", file=sys.stderr)
        else:
            (ROOT / path).write_text(texts[path], encoding="utf-8")
    return int(checking and bool(stale))


def with_parts(path: str, parts: Mapping[str, str]) -> str:
    """A text with new contents between its marks `<!-- NAME: begin … -->` and `<!-- NAME: end -->`; `#` does it, too."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for name, content in parts.items():
        marked = re.compile(rf"^( *(?:<!--|#) {name}: begin .*\n)(?s:.*?)(^ *(?:<!--|#) {name}: end)", re.MULTILINE)
        if not marked.search(text):
            sys.exit(f"{path} has no place marked {name}.")
        text = marked.sub(lambda found, content=content: f"{found[1]}{content}{found[2]}", text)  # type: ignore[misc]
    return text


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
