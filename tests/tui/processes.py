"""The terminal as a process of its own, and the processes of this machine, as far as a test needs to know them."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

SLUICE = (sys.executable, "-c", "import sys; from sluice_tui.cli import main; sys.exit(main())")
"""What the command `sluice` runs; a command line."""

MARK = "SLUICE_TEST_MARK"
"""An environment variable: what a test started carries it, children and grandchildren too."""


def alive_with(mark: str) -> list[int]:
    """The processes that carry the mark, zombies not counted."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"{MARK}={mark}\0".encode() in environment and state != "Z":
            found.append(int(folder.name))
    return found


def wait_until(condition: Callable[[], bool], what: str | Callable[[], str], seconds: float = 15) -> None:
    """Poll until it holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.02)
