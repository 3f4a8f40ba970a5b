"""The chat in a terminal: from Enter to the first painted token, and how evenly tokens are painted."""

import fcntl
import itertools
import os
import pty
import re
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.accounting import cpu_seconds
from bench.gateways import running
from bench.programs import Upstream
from bench.site import Figures
from sluice_service.providers.demo_text import answer, tokens_of

ROWS, COLUMNS = 40, 120
QUIET_SECONDS = 0.3
"""Without output for so long, the screen stands; the cursor blinks more slowly."""
LIMIT_SECONDS = 30.0
QUESTION = "What governs a stream?"
TOKENS, TOKENS_PER_SECOND = 400, 50

_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\)|[ -/]*[0-~])", re.DOTALL)
_RECORD = re.compile(r"[0-9a-f]*([0-9a-f]{5})([0-9a-f]{12})")


class Terminal:
    """`sluice` on a pseudo-terminal of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            program = str(Path(sys.executable).parent / "sluice")
            os.execve(program, [program], {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"})
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def write(self, text: str) -> float:
        """Type it; when it was typed."""
        os.write(self._descriptor, text.encode())
        return time.monotonic()

    def painted(self, quiet_seconds: float) -> Iterator[tuple[float, str]]:
        """What is painted and when, until nothing comes for so long."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline and select.select([self._descriptor], [], [], quiet_seconds)[0]:
            yield time.monotonic(), _ESCAPE.sub(b"", os.read(self._descriptor, 65536)).decode(errors="replace")

    def settle(self) -> None:
        """Wait until the screen stands."""
        for _ in self.painted(LIMIT_SECONDS):
            break
        for _ in self.painted(QUIET_SECONDS):
            pass

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._descriptor)


@contextmanager
def _terminal(**environment: str) -> Iterator[Terminal]:
    with tempfile.TemporaryDirectory() as home:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        terminal = Terminal({**kept, "HOME": home, "XDG_DATA_HOME": home, "XDG_STATE_HOME": home, **environment})
        try:
            terminal.settle()
            yield terminal
        finally:
            terminal.stop()


def measure(_: str, upstream: Upstream) -> Iterator[tuple[str, Figures]]:
    """With the demo agent as it comes, and with the function over the fake upstream."""
    yield "terminal, the demo agent", _demo()
    yield f"terminal, {TOKENS_PER_SECOND} tokens/s", _paced(upstream)


def _demo() -> Figures:
    # The second token, 20 ms later: the first is "You", as the question is headed.
    early = tokens_of(answer([{"role": "user", "content": QUESTION}]))[1].strip()
    with _terminal() as terminal:
        terminal.write(QUESTION)
        for _ in terminal.painted(QUIET_SECONDS):
            pass
        entered = terminal.write("\r")
        for at, text in terminal.painted(LIMIT_SECONDS):
            if early in text:
                return {"Enter to the first token ms": (at - entered) * 1e3}
    raise TimeoutError(f"{early!r} was not painted")


def _paced(upstream: Upstream) -> Figures:
    with (
        running("sluice", upstream.port) as gateway,
        _terminal(
            SLUICE_URL=f"http://127.0.0.1:{gateway.port}", SLUICE_API_KEY=gateway.key, SLUICE_AGENT=gateway.model
        ) as terminal,
    ):
        terminal.write(f"bench tokens={TOKENS} interval_us={1_000_000 // TOKENS_PER_SECOND}")
        for _ in terminal.painted(QUIET_SECONDS):
            pass
        before = cpu_seconds(terminal.pid)
        entered = terminal.write("\r")
        paints = list(_new_tokens(terminal))
        cpu = cpu_seconds(terminal.pid) - before
    gaps = sorted((later - at) * 1e3 for (at, _, _), (later, _, _) in itertools.pairwise(paints))
    delays = sorted((at - told) * 1e3 for at, _, told in paints)
    return {
        "Enter to the first token ms": (paints[0][0] - entered) * 1e3,
        "painted gap p50 ms": statistics.median(gaps),
        "painted gap p99 ms": gaps[int(len(gaps) * 0.99)],
        "painted gap max ms": gaps[-1],
        "upstream to paint p50 ms": statistics.median(delays),
        "upstream to paint p99 ms": delays[int(len(delays) * 0.99)],
        "terminal cores": cpu / (paints[-1][0] - entered),
        "last token painted": paints[-1][1],
    }


def _new_tokens(terminal: Terminal) -> Iterator[tuple[float, int, float]]:
    """Every paint that shows a token not shown before: when, the newest token's number, and when upstream told it."""
    newest = -1
    for at, text in terminal.painted(LIMIT_SECONDS):
        number, told = max(((int(n, 16), int(stamp, 16) / 1e6) for n, stamp in _RECORD.findall(text)), default=(-1, 0.0))
        if newest < number < TOKENS:
            newest = number
            yield at, number, told
        if newest == TOKENS - 1:
            return
