"""The command `sluice`, in this process or in one of its own, with a configuration of its own."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from sluice_tui.cli import main
from tests.tui.processes import SLUICE

SECONDS = 30


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return {**kept, "SLUICE_CONFIG": "/nonexistent/config.toml", "PYTHONUNBUFFERED": "", **more}


@dataclass(frozen=True)
class Ended:
    """What a run said and left with."""

    stdout: str
    stderr: str
    returncode: int


def sluice(*arguments: str, input: str = "", **more: str) -> Ended:
    """The command in this process, with streams of its own: starting another takes longer than all the rest."""
    out, errors, given = (io.TextIOWrapper(io.BytesIO(data), "utf-8") for data in (b"", b"", input.encode()))
    usual, sys.stdin = sys.stdin, given
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            code = main(arguments, environment(**more))
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        sys.stdin = usual
    return Ended(written(out), written(errors), code)


def written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def sluice_process(*arguments: str, input: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SLUICE, *arguments], input=input, env=environment(**more), capture_output=True, text=True, timeout=SECONDS
    )


def started(*arguments: str, **more: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*SLUICE, *arguments], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment(**more), text=True
    )
