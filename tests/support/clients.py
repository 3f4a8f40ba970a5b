"""The clients of others, which tests run unchanged in processes of their own: where they are, and what they print."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests" / "end_to_end" / "clients"
NODE_MODULES = CLIENTS / "node_modules"
PYTHON_CLIENTS = ROOT / ".venv-clients" / "bin"
OLDEST_NODE = 18
RUN_SECONDS = 45


def _why_not_node() -> str:
    """Why no Node client can run; empty when they can."""
    if shutil.which("node") is None:
        return "node is not installed"
    version = subprocess.check_output(["node", "--version"], text=True).strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        return f"node is {version}, and the clients need {OLDEST_NODE} or newer"
    return "" if (NODE_MODULES / ".ready").exists() else "the Node clients are not installed: run `make clients`"


_without_node = _why_not_node()
needs_node = pytest.mark.skipif(bool(_without_node), reason=_without_node)
needs_python_clients = pytest.mark.skipif(
    not (PYTHON_CLIENTS.parent / ".ready").exists(), reason="the Python clients are not installed: run `make clients`"
)


def run(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A client's process, ended; nothing of this process's own settings reaches it."""
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )


def told_by(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """The JSON that one of the clients' scripts prints, and nothing else; it must end well and complain of nothing."""
    program = PYTHON_CLIENTS / "python" if script.endswith(".py") else "node"
    done = run(program, CLIENTS / script, *arguments, **(environment or {}))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)
