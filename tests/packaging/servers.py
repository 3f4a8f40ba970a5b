"""The function as a process: started, waited for, asked, and asked where its modules came from."""

import hashlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT

PAGE_FILES = {path.name for path in (ROOT / "function" / "sluice_service" / "page").iterdir()}
KEY = "a-key-that-only-these-tests-know"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running function; `words` is what it wrote, among it where each of its modules was loaded from."""

    url: str
    words: Path

    def health(self) -> dict[str, object]:
        return self._json(urllib.request.Request(f"{self.url}/health"))

    def complete(self, question: str) -> dict[str, object]:
        """The demo agent's plain answer."""
        body = {"model": "demo", "messages": [{"role": "user", "content": question}]}
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        return self._json(urllib.request.Request(f"{self.url}/v1/chat/completions", json.dumps(body).encode(), headers))

    def page_files(self) -> set[str]:
        """The names of the files that the page consists of, each of them served; its address stands for the first one."""
        with urllib.request.urlopen(f"{self.url}/", timeout=30) as response:
            waiting, found = {*re.findall(r'"(page/[^"]+)"', response.read().decode())}, set()
        while waiting:
            found.add(path := waiting.pop())
            with urllib.request.urlopen(f"{self.url}/{path}", timeout=30) as response:
                imported = re.findall(r'from "\./([^"]+)"', response.read().decode())
            waiting |= {f"page/{name}" for name in imported} - found
        return {"index.html", *(path.removeprefix("page/") for path in found)}

    def folders_of(self, package: str) -> set[Path]:
        """The folders from which modules of a package were loaded, as the interpreter told it (PYTHONVERBOSE)."""
        sources = {Path(found) for found in re.findall(r"/[^\s'\"]+\.py\b", self._written())}
        return {
            source.parents[len(source.parts) - source.parts.index(package) - 1]
            for source in sources
            if package in source.parts
        }

    def complaint(self) -> str:
        """The end of what it wrote, without what PYTHONVERBOSE adds."""
        lines = [line for line in self._written().splitlines() if not line.startswith(("#", "import "))]
        return "\n".join(lines[-20:])

    def _written(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace")

    def _json(self, request: urllib.request.Request) -> dict[str, object]:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert isinstance(answer, dict)
        return answer


@contextmanager
def started(command: Sequence[str | Path], cwd: Path, words: Path) -> Iterator[Server]:
    """A server in an environment that knows nothing of this checkout, answering; ended with the block."""
    port = free_port()
    arguments = ["--target", "chat", "--host", "127.0.0.1", "--port", str(port)]
    with words.open("wb") as out:
        process = subprocess.Popen([*command, *arguments], cwd=cwd, env=_environment(), stdout=out, stderr=out)
    server = Server(f"http://127.0.0.1:{port}", words)
    try:
        if not answers(server.url, process):
            pytest.fail(f"it does not answer: {server.complaint()}")
        yield server
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _environment() -> dict[str, str]:
    keys = [{"user": "packaging", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
    settings = {"API_KEYS": json.dumps(keys), "DEMO_FIRST_TOKEN_MS": "0", "DEMO_TOKENS_PER_SECOND": "10000"}
    return {"PATH": os.environ["PATH"], "PYTHONVERBOSE": "1", **settings}


def answers(url: str, process: subprocess.Popen[bytes], seconds: float = START_SECONDS) -> bool:
    """Whether a server is healthy before the time is up and while its process is there."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
        except urllib.error.URLError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        else:
            return True
    return False
