"""The fake upstream and the load generator: compiled when they have changed, started, and their output read."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent
SOURCES = BENCH / "programs"
BUILD = BENCH / "build"
"""What the benchmark makes for itself; git ignores it."""

TOOLS_CORE, GATEWAY_CORE = "0", "1"

Report = dict[str, Any]


def compiled(name: str) -> Path:
    """The program, compiled anew if a source is newer. Raises SystemExit without a C compiler."""
    program = BUILD / name
    sources = [*SOURCES.glob("*.h"), SOURCES / f"{name}.c"]
    if not program.exists() or any(source.stat().st_mtime > program.stat().st_mtime for source in sources):
        if not shutil.which("cc"):
            raise SystemExit("The benchmark needs a C compiler: apt-get install gcc libc6-dev")
        BUILD.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(sources[-1])], check=True)
    return program


@contextmanager
def upstream() -> Iterator[tuple[int, int]]:
    """The fake upstream: its process id and its port."""
    command = ["taskset", "-c", TOOLS_CORE, str(compiled("upstream"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


class Load:
    """A load generator that runs. `options` are those of load.c."""

    def __init__(self, **options: object) -> None:
        command = [
            "taskset",
            "-c",
            TOOLS_CORE,
            str(compiled("load")),
            *(f"{name}={value}" for name, value in options.items()),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
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
        """End it before its time."""
        self._process.kill()
        self._process.wait()
