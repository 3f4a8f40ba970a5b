"""The processes that are measured: started, stopped, and what they cost in CPU time."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BENCH = Path(__file__).parent
FUNCTION = BENCH.parent / "function" / "main.py"
KEY = "a-key-for-the-benchmark"


@contextmanager
def fake_upstream(tokens_per_second: float) -> Iterator[tuple[int, int]]:
    """Its process id and its port."""
    command = [sys.executable, str(BENCH / "fake_upstream.py"), str(tokens_per_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def function(upstream_port: int) -> Iterator[tuple[int, int]]:
    """The function as it is deployed, over that upstream: its server's process id and its port."""
    keys = [{"user": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {
        "API_KEYS": json.dumps(keys),
        "STREAMS_PER_USER": "10000",
        "MESSAGES_PER_HOUR": "100000",
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
    }
    command = [sys.executable, "-m", "functions_framework", "--source", str(FUNCTION), "--target", "chat"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if not _becomes_healthy(port, process):
                log.seek(0)
                raise SystemExit(f"the function did not start:\n{log.read().decode(errors='replace')}")
            yield process.pid, port
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def cpu_seconds(root: int) -> float:
    """CPU time of a process and its descendants so far, to the nanosecond: the scheduler's own count for every thread."""
    total = 0
    for pid in _tree(root):
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                continue
    return total / 1e9


def busy_seconds() -> float:
    """CPU time of the whole machine so far, steal included."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _tree(root: int) -> Iterator[int]:
    yield root
    for task in Path(f"/proc/{root}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _becomes_healthy(port: int, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
