"""What processes cost, as the kernel counts it: CPU time, memory, and how busy the machine is beside them."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROCESS_CPU_CLOCK = 2
"""CPUCLOCK_SCHED (Linux, include/linux/posix-timers_types.h): the scheduler's run time, threads that ended included."""


def cpu_seconds(root: int) -> float:
    """CPU time of a process and its living descendants so far, to the nanosecond."""
    return sum(map(_cpu_seconds, tree(root)))


def _cpu_seconds(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | _PROCESS_CPU_CLOCK)
    except OSError:  # it has just ended
        return 0.0


def tree(root: int) -> Iterator[int]:
    """A process and its living descendants."""
    yield root
    for children in Path(f"/proc/{root}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            for child in children.read_text().split():
                yield from tree(int(child))


def pss_bytes(root: int) -> int:
    """Proportional set size of a process and its descendants: shared pages are divided among their users."""
    return sum(_pss_bytes(pid) for pid in tree(root))


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no Pss")


@dataclass(frozen=True)
class Moment:
    """What had been used by then. `machine` is all cores' busy time, `stolen` what the hypervisor took."""

    at: float
    gateway: float
    tools: float
    machine: float
    stolen: float

    @classmethod
    def now(cls, gateway: int | None, tools: Iterable[int]) -> "Moment":
        machine, stolen = _machine_seconds()
        return cls(
            at=time.monotonic(),
            gateway=cpu_seconds(gateway) if gateway else 0.0,
            tools=sum(map(cpu_seconds, tools)) + time.process_time(),
            machine=machine,
            stolen=stolen,
        )

    def foreign_cores(self, until: "Moment", others_of_ours: float = 0.0) -> float:
        """How many cores were busy with what is not ours, or stolen, between two moments.

        `others_of_ours` is the CPU time of tools that began and ended within the span.
        """
        ours = until.gateway - self.gateway + until.tools - self.tools + others_of_ours
        busy = until.machine - self.machine + until.stolen - self.stolen
        return max(0.0, busy - ours) / (until.at - self.at)


def _machine_seconds() -> tuple[float, float]:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields)
    return user + nice + system + irq + softirq, steal
