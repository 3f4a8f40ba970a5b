"""From a process's start to the first streamed token of its first answer."""

import compileall
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.accounting import Moment
from bench.gateways import GATEWAYS, KEY, ROOT, Plan, sluice, started
from bench.programs import Upstream
from bench.site import Figures

LIMIT_SECONDS = 60
RETRY_SECONDS = 0.002


def measure(gateway: str, upstream: Upstream) -> Iterator[tuple[str, Figures]]:
    """One start of a process; its files are in the page cache, as on an image's second start, bytecode among them."""
    compileall.compile_dir(ROOT / "function", quiet=1)  # here Python may be told to write none; deployments bring it along
    with tempfile.TemporaryDirectory() as folder:
        plan = GATEWAYS[gateway](Path(folder), upstream.port)
        before = Moment.now(None, [upstream.pid])
        with started(plan, Path(folder)) as process:
            seconds = _first_token(plan) - before.at
            after = Moment.now(process.pid, [upstream.pid])
    yield (
        "cold start",
        {"to the first token s": seconds, "CPU s": after.gateway, "foreign cores": before.foreign_cores(after)},
    )


def _first_token(plan: Plan) -> float:
    """When the first token came. Raises TimeoutError."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", plan.port), timeout=LIMIT_SECONDS) as connection:
                connection.sendall(_request())
                _read_until(connection, b"the", deadline)
                return time.monotonic()
        except ConnectionError:
            time.sleep(RETRY_SECONDS)
    raise TimeoutError("no token came")


def _read_until(connection: socket.socket, wanted: bytes, deadline: float) -> None:
    received = b""
    while wanted not in received:
        if not (data := connection.recv(65536)) or time.monotonic() > deadline:
            raise ConnectionResetError(received[:300])
        received += data


def _request() -> bytes:
    messages = [{"role": "user", "content": "bench tokens=1"}]
    body = json.dumps({"model": "bench", "messages": messages, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def imports(most: int = 12) -> list[tuple[str, float]]:
    """Where the function's start goes: milliseconds that each package's own modules take to import, the largest first."""
    with tempfile.TemporaryDirectory() as folder:
        plan = sluice(Path(folder), 9)
        program = "import functions_framework, gunicorn.app.base, gunicorn.workers.gthread, main"
        told = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", program],
            env={**os.environ, **plan.environment, "PYTHONPATH": str(ROOT / "function")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        ).stderr
    packages: dict[str, float] = defaultdict(float)
    for own, module in re.findall(r"(?m)^import time: +(\d+) \| +\d+ \| +(\S+)$", told):
        packages[_package(module)] += int(own) / 1000
    return sorted(packages.items(), key=lambda item: -item[1])[:most]


def _package(module: str) -> str:
    depth = 2 if module.startswith("google.") else 1
    return ".".join(module.split(".")[:depth])
