"""The gateways that are measured: how each is started, and one that runs, on a core of its own."""

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import litellm
from bench.programs import BENCH, ON_GATEWAY_CORE

ROOT = BENCH.parent
KEY = "sk-a-key-for-the-benchmark"
THREADS = 1100
"""For the tutorial's gateway, which holds a stream in a thread: enough that none waits for a place."""
START_SECONDS = 60


@dataclass(frozen=True)
class Plan:
    """How a gateway is started. Without a command there is none: the clients ask upstream itself."""

    port: int
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = "/health"


@dataclass(frozen=True)
class Gateway:
    """One that runs."""

    name: str
    port: int
    pid: int | None
    model: str = "bench"
    key: str = KEY


def direct(_: Path, upstream_port: int) -> Plan:
    """What the tools can do, and what they cost themselves."""
    return Plan(upstream_port)


def sluice(folder: Path, upstream_port: int) -> Plan:
    """The function under functions-framework, as on Cloud Run: structured entries, a key, limits that are counted.

    The limits leave room for every workload.
    """
    (folder / "agents.toml").write_text(
        f'[providers.fake]\nbase_url = "http://127.0.0.1:{upstream_port}/v1"\napi_key_env = "FAKE_API_KEY"\n'
        '[[agents]]\nid = "bench"\nprovider = "fake"\nmodel = "gpt-4.1-mini"\npassthrough = true\n'
    )
    keys = [{"user": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
    environment = {
        "API_KEYS": json.dumps(keys),
        "AGENTS_FILE": str(folder / "agents.toml"),
        "FAKE_API_KEY": "none",
        "STREAMS_PER_USER": "10000",
        "MESSAGES_PER_HOUR": "100000",
        "CONVERSATIONS": f"sqlite:///{folder}/conversations.db",
        "K_SERVICE": "sluice",
        "GOOGLE_CLOUD_PROJECT": "bench",
    }
    port, source = _free_port(), str(ROOT / "function" / "main.py")
    framework = (sys.executable, "-m", "functions_framework", "--source", source, "--target", "chat")
    return Plan(port, (*framework, "--host", "127.0.0.1", "--port", str(port)), environment)


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


def nginx(folder: Path, upstream_port: int) -> Plan:
    """A reverse proxy for streams, connections to upstream kept: it relays bytes and knows nothing of them."""
    if not shutil.which("nginx"):
        raise SystemExit("The benchmark needs nginx beside the function: apt-get install nginx-light")
    port = _free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, upstream=upstream_port, port=port))
    return Plan(port, ("nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"))


def tutorial(_: Path, upstream_port: int) -> Plan:
    """What a tutorial ends with: see tutorial.py."""
    port = _free_port()
    threads = ("--worker-class", "gthread", "--threads", str(THREADS), "--worker-connections", str(THREADS + 200))
    command = (sys.executable, "-m", "gunicorn", *threads, "--bind", f"127.0.0.1:{port}", "bench.tutorial:app")
    base_url = f"http://127.0.0.1:{upstream_port}/v1"
    return Plan(port, command, {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": base_url, "PYTHONPATH": str(ROOT)})


def litellm_proxy(folder: Path, upstream_port: int) -> Plan:
    """LiteLLM's proxy, one worker, with a key and no database."""
    (folder / "config.yaml").write_text(litellm.config(upstream_port, KEY))
    port = _free_port()
    command = (str(litellm.program()), "--config", f"{folder}/config.yaml", "--host", "127.0.0.1", "--port", str(port))
    return Plan(port, (*command, "--num_workers", "1"), litellm.ENVIRONMENT, "/health/liveliness")


GATEWAYS: Mapping[str, Callable[[Path, int], Plan]] = {
    "direct": direct,
    "nginx": nginx,
    "sluice": sluice,
    "tutorial": tutorial,
    "litellm": litellm_proxy,
}


@contextmanager
def running(name: str, upstream_port: int, settings: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """Start it, wait until it answers, and stop it in the end. `settings` are added to its environment.

    Raises SystemExit when it does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = GATEWAYS[name](Path(folder), upstream_port)
        if not plan.command:
            yield Gateway(name, plan.port, None)
            return
        with started(plan, Path(folder), settings) as process:
            if not _answers(plan, process):
                raise SystemExit(f"{name} did not start:\n{Path(folder, 'log').read_text(errors='replace')[-3000:]}")
            yield Gateway(name, plan.port, process.pid)


@contextmanager
def started(plan: Plan, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Its process, from its first moment. Its output goes into a file; it is stopped with all its processes."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*ON_GATEWAY_CORE, *plan.command],
            env={**os.environ, **plan.environment, **(settings or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(plan: Plan, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{plan.port}{plan.health}", timeout=5).close()
        except urllib.error.HTTPError:
            return True  # a refusal is an answer
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
