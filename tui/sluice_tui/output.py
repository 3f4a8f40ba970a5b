"""Standard output whose failures can be told from all others: a file system's errors look alike wherever they arise."""

import io
import os
import sys
from pathlib import Path


class OutputError(Exception):
    """Standard output cannot be written; the message says why, for people."""


class _Output(io.FileIO):
    def write(self, data: object, /) -> int:
        """As a file, with an exception of its own where nobody has just stopped reading."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            raise
        except OSError as problem:
            raise OutputError(problem.strerror or str(problem)) from problem


def open_output() -> None:
    """Put it in the place of standard output, where that is a file, a pipe or a terminal; nothing where it was closed."""
    if sys.stdout is None:  # as `>&-` does
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- it lasts as long as the process
        return
    given = sys.stdout
    if type(given) is io.TextIOWrapper and isinstance(given.buffer, io.BufferedWriter | io.FileIO):
        given.flush()
        raw = _Output(given.fileno(), "w", closefd=False)
        # Without a buffer where PYTHONUNBUFFERED says so.
        buffer = io.BufferedWriter(raw) if isinstance(given.buffer, io.BufferedWriter) else raw
        lines, through = given.line_buffering, given.write_through
        sys.stdout = io.TextIOWrapper(buffer, given.encoding, given.errors, line_buffering=lines, write_through=through)


def drop_output() -> None:
    """Python flushes standard output once more at its exit, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
