"""The function on this machine: started on a free loopback port with a fresh key, and ended with the terminal."""

import asyncio
import hashlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
from platformdirs import user_data_path

from sluice_tui.api import Endpoint
from sluice_tui.errors import ClientError, client_error
from sluice_tui.transport import no_certificates

START_SECONDS = 20.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_HEALTH_SECONDS = 1.0
_LAST_WORDS_BYTES = 4096
_LAST_WORDS_LINES = 3

# There is one user, who pays for nothing here but their own model.
_LIMITS = {"streams": 1000, "messages_per_hour": 1_000_000}

FRAMEWORK_SWITCHES = ("DEBUG", "FUNCTION_USE_ASGI", "FUNCTION_TARGET", "FUNCTION_SOURCE", "HOST")
"""functions-framework's command line reads these, and they would change what is served or how."""


def installed_source() -> Path:
    """The function's source file, found without importing it. Raises ClientError when it is not installed."""
    found = importlib.util.find_spec("sluice_service")
    framework = importlib.util.find_spec("functions_framework")
    if found is None or found.origin is None or framework is None:
        raise client_error("function_not_installed")
    return Path(found.origin).with_name("entry.py")


class LocalFunction:
    """One process of the function. `environment` is passed on to it, with its key's hash added.

    The key itself is in this object and in the requests' headers, nowhere else. `find_source` tells the source file,
    and may raise ClientError. Unless the environment names another place (CONVERSATIONS), conversations are kept in a file
    in `data_folder`.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        find_source: Callable[[], Path] = installed_source,
        start_seconds: float = START_SECONDS,
        data_folder: Path | None = None,
    ) -> None:
        self._data_folder = data_folder or user_data_path("sluice")
        self._find_source = find_source
        self._environment = environment
        self._start_seconds = start_seconds
        self._key = secrets.token_urlsafe(32)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> Endpoint:
        """Start it, anew if it runs, and wait until it answers.

        Raises ClientError; after an exception nothing is left running.
        """
        self.stop()
        with tempfile.TemporaryFile() as words, ExitStack() as undo:
            undo.callback(self.stop)
            port = self._spawn(words.fileno())
            try:
                async with asyncio.timeout(self._start_seconds):
                    await self._answering(port)
            except TimeoutError:
                raise self._failure("function_timeout", words.fileno()) from None
            if not self.running:
                raise self._failure("function_failed", words.fileno())
            undo.pop_all()
        return Endpoint(f"http://127.0.0.1:{port}/v1", self._key)

    def stop(self) -> None:
        """End it and wait until it has; at most STOP_SECONDS. It may be called again, and before `start`."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def leave(self) -> None:
        """Let it end by itself, within seconds, while whoever started it leaves at once."""
        if self._process and self._process.stdin:
            self._process.stdin.close()

    def _spawn(self, words: int) -> int:
        """Start the process on a port that is already listening, and tell which. Its words go to that descriptor."""
        # Ours closes at once: when the child dies, a request is to be refused rather than wait in the queue.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = int(listener.getsockname()[1])
            descriptor = listener.fileno()
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                [
                    *(sys.executable, "-m", "sluice_tui.function_host", "--source", str(self._find_source())),
                    *("--port", str(port), "--descriptor", str(descriptor)),
                ],
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=words,
                env=self._child_environment(port),
                pass_fds=(descriptor,),
                # Ctrl+C in the terminal is for the terminal; and the group can be ended as one.
                start_new_session=True,
            )
        return port

    def _child_environment(self, port: int) -> dict[str, str]:
        passed = {name: value for name, value in self._environment.items() if name not in FRAMEWORK_SWITCHES}
        key_hash = hashlib.sha256(self._key.encode()).hexdigest()
        entry = {"user": "local", "sha256": key_hash, "limits": _LIMITS}
        stored = {"CONVERSATIONS": kept} if (kept := self._conversations()) else {}
        return stored | passed | {"API_KEYS": json.dumps([entry]), "PORT": str(port)}

    def _conversations(self) -> str:
        """Where they are kept; "" where the disk refuses, and then they last as long as the function."""
        try:
            self._data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return ""
        writable = os.access(self._data_folder, os.W_OK)
        return f"sqlite:///{self._data_folder / 'conversations.db'}" if writable else ""

    async def _answering(self, port: int) -> None:
        """Return when it answers, or has ended."""
        async with httpx.AsyncClient(trust_env=False, verify=no_certificates(), timeout=_HEALTH_SECONDS) as client:
            while self.running:
                with suppress(httpx.TransportError):
                    response = await client.get(f"http://127.0.0.1:{port}/health")
                    if response.is_success:
                        return
                await asyncio.sleep(_POLL_SECONDS)

    def _failure(self, code: str, words: int) -> ClientError:
        size = os.fstat(words).st_size
        last = os.pread(words, _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES)).decode("utf-8", "replace")
        lines = [line.strip() for line in last.replace(self._key, "(key)").splitlines() if line.strip()]
        last_words = " / ".join(lines[-_LAST_WORDS_LINES:]) or "(none)"
        return client_error(code, words=last_words, seconds=self._start_seconds)
