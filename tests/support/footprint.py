"""What a running function holds, as its operating system counts it: threads, descriptors, memory."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.running_function import RunningFunction


@dataclass(frozen=True)
class Footprint:
    """Of the server's worker process. `descriptors` by kind: socket, pipe, anon_inode:[eventpoll], a file's path, …"""

    threads: int
    descriptors: Counter[str]
    resident_bytes: int


def footprint(function: RunningFunction) -> Footprint:
    """Now."""
    arbiter = Path("/proc", str(function.process.pid))
    (worker,) = (arbiter / "task" / arbiter.name / "children").read_text().split()
    process = Path("/proc", worker)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Footprint(
        threads=int(status["Threads"]),
        descriptors=Counter(_kinds(process / "fd")),
        resident_bytes=int(status["VmRSS"].split()[0]) * 1024,
    )


def _kinds(folder: Path) -> list[str]:
    kinds = []
    for descriptor in folder.iterdir():
        try:
            kinds.append(str(descriptor.readlink()).partition(":[")[0])
        except FileNotFoundError:  # closed since it was listed
            continue
    return kinds
