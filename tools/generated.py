"""Generated files: their generators write them, and the tests ask the generators whether they are still true."""

import argparse
import sys
from collections.abc import Mapping
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


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
