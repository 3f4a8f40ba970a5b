"""Paths as people give them."""

from pathlib import Path


def given_path(name: str) -> Path:
    """A path in which ~ is somebody's home; where there is no such user it stays as it is, as in a shell."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)
