"""A gateway in its place, between load generator and upstream, and what a workload costs there."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bench.accounting import Moment, pss_bytes
from bench.gateways import Gateway
from bench.programs import Load, Report, Upstream

Figures = Mapping[str, float]
"""One cell: figures by the names that the table shows, units included."""

SETTLING_SECONDS = 0.2
"""What a gateway still does after the last byte, such as its log entry."""


@dataclass(frozen=True)
class Site:
    """Where a workload runs."""

    gateway: Gateway
    upstream: Upstream

    def load(self, **options: object) -> Load:
        """Start a load generator on this gateway."""
        return Load(port=self.gateway.port, key=self.gateway.key, model=self.gateway.model, **options)

    def moment(self, *tools: int) -> Moment:
        """The CPU time used so far; `tools` are the load generators that run."""
        return Moment.now(self.gateway.pid, (self.upstream.pid, *tools))

    def warm(self, streams: int) -> None:
        """Threads, connections and caches are there from now on."""
        self.load(connections=streams, ramp_ms=500, tokens=2, limit_s=30).report()
        time.sleep(SETTLING_SECONDS)

    def pss_mib(self) -> float:
        return pss_bytes(self.gateway.pid) / 2**20 if self.gateway.pid else 0.0

    def whole(self, **options: object) -> tuple[Report, float, Figures]:
        """Run a load to its end: its report, the gateway's CPU seconds, and how disturbed it was."""
        before = self.moment()
        report = self.load(**options).report()
        time.sleep(SETTLING_SECONDS)
        after = self.moment()
        foreign = before.foreign_cores(after, report["cpu_us"] / 1e6)
        return report, after.gateway - before.gateway, {"foreign cores": foreign}


class Workload(Protocol):
    """What is asked of every gateway."""

    @property
    def name(self) -> str: ...

    @property
    def streams(self) -> int:
        """How many are open at once."""
        ...

    def measure(self, site: Site) -> Figures: ...


def seen(report: Report) -> Figures:
    """What the load generator saw."""
    found: dict[str, float] = {"complete": report["complete"] / max(1, answers(report))}
    for name in ("first_token", "latency", "gap"):
        samples = report[f"{name}_us"]
        found |= {f"{name.replace('_', ' ')} {part} ms": samples[part] / 1e3 for part in ("p50", "p99") if part in samples}
    found["reads per token"] = report["reads"] / max(1, report["tokens"])
    if report["first_failure"]:
        print(f"    {report['failed']} answers failed; the first: {report['first_failure']}", flush=True)
    return found


def answers(report: Report) -> int:
    """How many were asked for and had begun, or were due."""
    return int(report["complete"] + report["failed"] + report["unfinished"])
