"""The fake upstream and the load generator: compiled when they have changed, started, and their output read."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

BENCH = Path(__file__).parent
SOURCES = BENCH / "programs"
BUILD = BENCH / "build"
"""What the benchmark makes for itself; git ignores it."""

_CORES = sorted(os.sched_getaffinity(0))
ON_TOOLS_CORE = ("taskset", "-c", str(_CORES[0]))
ON_GATEWAY_CORE = ("taskset", "-c", str(_CORES[-1]))

Report = dict[str, Any]


def compiled(name: str) -> Path:
    """The program, compiled anew if a source is newer. Raises SystemExit without a C compiler."""
    program, source = BUILD / name, SOURCES / f"{name}.c"
    if not program.exists() or any(s.stat().st_mtime > program.stat().st_mtime for s in (source, *SOURCES.glob("*.h"))):
        if not shutil.which("cc"):
            raise SystemExit("The benchmark needs a C compiler: apt-get install gcc libc6-dev")
        BUILD.mkdir(exist_ok=True)
        # Under another name until it is whole: somebody else may want it at the same time, or be running the old one.
        unfinished = BUILD / f"{name}.{os.getpid()}"
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", str(unfinished), str(source)], check=True)
        unfinished.replace(program)
    return program


def end_on_sigterm() -> None:
    """A benchmark that is told to end stops what it started."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


class Upstream(NamedTuple):
    """The fake upstream that runs."""

    pid: int
    port: int


@contextmanager
def upstream() -> Iterator[Upstream]:
    """The fake upstream, on the tools' core."""
    with subprocess.Popen([*ON_TOOLS_CORE, str(compiled("upstream"))], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Upstream(process.pid, int(process.stdout.readline()))
        finally:
            process.kill()


class Load:
    """A load generator that runs. `options` are those of load.c."""

    def __init__(self, **options: object) -> None:
        arguments = (f"{name}={value}" for name, value in options.items())
        self._process = subprocess.Popen([*ON_TOOLS_CORE, str(compiled("load")), *arguments], stdout=subprocess.PIPE)
        self.pid = self._process.pid

    def report(self, on_event: Callable[[Report], None] = lambda _: None) -> Report:
        """Wait for its end; its figures. `on_event` gets what it tells before."""
        assert self._process.stdout is not None
        with self._process:
            for line in self._process.stdout:
                told: Report = json.loads(line)
                if told["event"] == "end":
                    return told
                on_event(told)
        raise SystemExit(f"the load generator failed with status {self._process.returncode}")

    def stop(self) -> None:
        """End it before its time; whoever waits for nothing else must."""
        self._process.kill()
        self._process.communicate()
