"""The gateways that are measured, each on a core of its own: started, awaited, stopped with all their processes."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.programs import BENCH, GATEWAY_CORE

KEY = "a-key-for-the-benchmark"
ROOT = BENCH.parent
THREADS = 1100
"""For the gateways that hold a stream in a thread: enough for every workload, so that none waits for a place."""
START_SECONDS = 60


@dataclass(frozen=True)
class Gateway:
    """One that runs. Without `pid` there is none: the clients ask upstream itself."""

    name: str
    port: int
    pid: int | None = None
    model: str = "bench"

    @property
    def load(self) -> dict[str, object]:
        """What the load generator must know."""
        return {"port": self.port, "key": KEY, "model": self.model}


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str], folder: Path, health: str = "/health"
) -> Iterator[Gateway]:
    """Start it on its core, wait until it answers, and stop it in the end. Its output goes into a file, as in production."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", GATEWAY_CORE, *command],
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
        )
        try:
            if not answers(port, health, process):
                raise SystemExit(f"{name} did not start:\n{(folder / 'log').read_text(errors='replace')[-3000:]}")
            yield Gateway(name, port, process.pid)
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answers(port: int, path: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until it answers at all, if only with a refusal."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def sluice_environment(folder: Path, upstream_port: int) -> dict[str, str]:
    """As on Cloud Run, with room for every workload: structured entries, a key, limits that are counted but not reached."""
    (folder / "agents.toml").write_text(
        f'[providers.fake]\nbase_url = "http://127.0.0.1:{upstream_port}/v1"\napi_key_env = "FAKE_API_KEY"\n'
        '[[agents]]\nid = "bench"\nprovider = "fake"\nmodel = "gpt-4.1-mini"\npassthrough = true\n'
    )
    keys = [{"user": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
    return {
        "API_KEYS": json.dumps(keys),
        "AGENTS_FILE": str(folder / "agents.toml"),
        "FAKE_API_KEY": "none",
        "STREAMS_PER_USER": "10000",
        "MESSAGES_PER_HOUR": "100000",
        "K_SERVICE": "sluice",
        "GOOGLE_CLOUD_PROJECT": "bench",
    }


def sluice_command(port: int) -> list[str]:
    source = str(ROOT / "function" / "main.py")
    return [
        sys.executable,
        "-m",
        "functions_framework",
        "--source",
        source,
        "--target",
        "chat",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]


@contextmanager
def sluice(upstream_port: int) -> Iterator[Gateway]:
    """The function under functions-framework, as it is deployed."""
    with tempfile.TemporaryDirectory() as folder:
        port, environment = free_port(), sluice_environment(Path(folder), upstream_port)
        with running("sluice", sluice_command(port), port, environment, Path(folder)) as gateway:
            yield gateway


_NGINX = """
daemon off; worker_processes 1; user root; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log;
    upstream fake {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000;
        location / {{
            proxy_pass http://fake; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_read_timeout 300s;
        }}
    }}
}}
"""


@contextmanager
def nginx(upstream_port: int) -> Iterator[Gateway]:
    """nginx as a reverse proxy for streams: buffering off, connections to upstream kept. It relays and knows nothing."""
    if not shutil.which("nginx"):
        raise SystemExit("The benchmark needs nginx beside the function: apt-get install nginx-light")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, upstream=upstream_port, port=port))
        command = ["nginx", "-p", name, "-e", f"{name}/error.log", "-c", f"{name}/nginx.conf"]
        with running("nginx", command, port, {}, folder) as gateway:
            yield gateway


@contextmanager
def tutorial(upstream_port: int) -> Iterator[Gateway]:
    """What a tutorial ends with: see tutorial.py."""
    port = free_port()
    options = [
        "--worker-class",
        "gthread",
        "--workers",
        "1",
        "--threads",
        str(THREADS),
        "--worker-connections",
        str(THREADS + 200),
    ]
    command = [sys.executable, "-m", "gunicorn", *options, "--bind", f"127.0.0.1:{port}", "bench.tutorial:app"]
    environment = {
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "PYTHONPATH": str(ROOT),
    }
    with tempfile.TemporaryDirectory() as folder, running("tutorial", command, port, environment, Path(folder)) as gateway:
        yield gateway


@contextmanager
def direct(upstream_port: int) -> Iterator[Gateway]:
    """No gateway: what the tools can do, and what they cost themselves."""
    yield Gateway("direct", upstream_port)


GATEWAYS: Mapping[str, Callable[[int], AbstractContextManager[Gateway]]] = {
    "direct": direct,
    "nginx": nginx,
    "sluice": sluice,
    "tutorial": tutorial,
}
