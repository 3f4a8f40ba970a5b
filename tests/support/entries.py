"""A running function's log, read on as it grows: the entries of one request, waited for."""

import json
import time
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

TRACE = "logging.googleapis.com/trace"
SPAN = "logging.googleapis.com/spanId"
SAMPLED = "logging.googleapis.com/trace_sampled"


class GrowingLog:
    """Every line that was written so far, each parsed once."""

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._path = path
        self._read_bytes = 0

    def read_on(self) -> list[str]:
        """The lines that are new, whole ones only."""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read_bytes += len(whole + newline)
        # Not splitlines: what another reader may take for the end of a line must not be in one.
        new = whole.decode().split("\n") if newline else []
        self.lines += new
        return new

    def until_complete(self, request_id: str, seconds: float = 10) -> list[str]:
        """The lines that are new, at least up to the request's last one."""
        deadline = time.monotonic() + seconds
        lines: list[str] = []
        while time.monotonic() < deadline:
            lines += self.read_on()
            if any("response_complete" in line and request_id in line for line in lines):
                return lines
            time.sleep(0.002)
        raise AssertionError(f"no response_complete of {request_id} in {lines}")

    def entries_of(self, request_id: str) -> list[Entry]:
        """The entries of a request that has just ended, when the function runs as on Cloud Run: every line is JSON."""
        entries = [json.loads(line) for line in self.until_complete(request_id)]
        return [entry for entry in entries if entry.get("request_id") == request_id]


def named(entries: list[Entry], event: str) -> list[Entry]:
    """The entries of one kind."""
    return [entry for entry in entries if entry["event"] == event]
