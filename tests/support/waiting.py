"""Waiting for what happens elsewhere, with a deadline."""

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Poll until it holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
