"""The function as it is deployed: functions-framework's own server in a process of its own, on a free loopback port."""

import hashlib
import json
import os
import random
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

FUNCTION = Path(__file__).resolve().parents[2] / "function"
START_SECONDS = 30
STOP_SECONDS = 10

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients on loopback: a context without certificates, since reading them costs every new client 20 ms."""


@dataclass(frozen=True)
class RunningFunction:
    """Where it listens, a key for it, and what it has logged so far."""

    url: str
    key: str
    process: "subprocess.Popen[bytes]"
    log_file: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, timeout: float = 30) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=timeout, verify=NO_TLS)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def entries(self) -> list[dict[str, object]]:
        """The log's entries, when the function runs as on Cloud Run."""
        whole = self.log().rpartition("\n")[0]  # the last line may not be written to its end
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def wait_for_log(self, pattern: str, seconds: float = 10, count: int = 1) -> re.Match[str]:
        """The place in the log that matches for the `count`th time, waited for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = list(re.finditer(pattern, self.log()))
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} does not appear {count} times in the log:\n{self.log()}")


def free_port() -> int:
    """A port for a server that is about to start: below those that systems give to outgoing connections meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def key_entry(key: str, user: str, **more: object) -> dict[str, object]:
    return {"user": user, "sha256": hashlib.sha256(key.encode()).hexdigest(), **more}


@contextmanager
def running_function(environment: Mapping[str, str] | None = None) -> Iterator[RunningFunction]:
    """Start the function, wait for /health, and in the end stop it, without waiting, with all its processes."""
    key, port = secrets.token_urlsafe(24), free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "API_KEYS"))}
    # Without the users' limits, which have tests of their own: properties ask more than a hundred times.
    roomy = {"STREAMS_PER_USER": "10000", "MESSAGES_PER_HOUR": "100000", "DEMO_FIRST_TOKEN_MS": "10"}
    settings = {"API_KEYS": json.dumps([key_entry(key, "alice")]), **roomy, **(environment or {})}
    command = [sys.executable, "-m", "functions_framework", "--source", str(FUNCTION / "main.py"), "--target", "chat"]
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env={**inherited, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        function = RunningFunction(f"http://127.0.0.1:{port}", key, process, Path(folder, "log"))
        try:
            _wait_until_healthy(function)
            yield function
        finally:
            _stop(process)


def _wait_until_healthy(function: RunningFunction) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if function.process.poll() is not None:
            raise AssertionError(f"the function did not start:\n{function.log()}")
        try:
            httpx.get(f"{function.url}/health", timeout=5, verify=NO_TLS, trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the function does not answer /health:\n{function.log()}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, and let that happen beside the next test: it takes half a second, and with open streams five."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        threading.Thread(target=_reap, args=(process,), name="reaper").start()


def _reap(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
