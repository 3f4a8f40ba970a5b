"""The paced workload: so many streams side by side, each with so many tokens a second, as models tell them."""

import time
from dataclasses import dataclass

from bench.accounting import Moment
from bench.gateways import Gateway
from bench.programs import Load, Report

RAMP_SECONDS = 2.0
FIRST_TOKEN_MS = 100
SPARE_SECONDS = 15
"""How much later than upstream an answer may end before it is given up."""


@dataclass(frozen=True)
class Paced:
    """`seconds` is how long all streams run side by side; CPU time is counted over that span alone."""

    streams: int
    rate: float = 50
    seconds: float = 8

    @property
    def name(self) -> str:
        return f"{self.streams} streams x {self.rate:g} tokens/s"

    def measure(self, gateway: Gateway, upstream_pid: int) -> dict[str, float]:
        """One cell's figures, by name."""
        self._warm(gateway)
        tokens = int(self.rate * (self.seconds + RAMP_SECONDS + FIRST_TOKEN_MS / 1000 + 1))
        load = Load(
            **gateway.load, connections=self.streams, tokens=tokens, rate=self.rate, delay_ms=FIRST_TOKEN_MS,
            ramp_ms=RAMP_SECONDS * 1000, limit_s=RAMP_SECONDS + tokens / self.rate + SPARE_SECONDS,
        )  # fmt: skip
        moments: list[tuple[Moment, int]] = []

        def note(event: Report) -> None:
            moments.append((Moment.now(gateway.pid, [upstream_pid, load.pid]), event["tokens"]))

        report = load.report(note)
        return {**figures(report, self.streams), **_steady(moments)}

    def _warm(self, gateway: Gateway) -> None:
        Load(**gateway.load, connections=self.streams, ramp_ms=500, tokens=2, limit_s=30).report()
        time.sleep(0.2)


def figures(report: Report, answers: int) -> dict[str, float]:
    """What the load generator saw, by the names that tables use."""
    found = {"complete": report["complete"] / answers, "reads per token": report["reads"] / max(1, report["tokens"])}
    for name, unit in (("first_token", 1e3), ("latency", 1e3), ("gap", 1e3)):
        samples = report[f"{name}_us"]
        found |= {
            f"{name.replace('_', ' ')} {part} ms": samples.get(part, float("nan")) / unit for part in ("p50", "p99", "max")
        }
    if report["first_failure"]:
        print(f"    {report['failed']} failed, {report['unfinished']} unfinished; first: {report['first_failure']}")
    return found


def _steady(moments: list[tuple[Moment, int]]) -> dict[str, float]:
    if len(moments) < 2:
        return {}  # not all streams began
    (start, tokens_before), (end, tokens_after) = moments
    tokens, seconds = tokens_after - tokens_before, end.at - start.at
    return {
        "CPU us per chunk": (end.gateway - start.gateway) / tokens * 1e6,
        "gateway cores": (end.gateway - start.gateway) / seconds,
        "tools cores": (end.tools - start.tools) / seconds,
        "chunks/s": tokens / seconds,
        "foreign cores": start.foreign_cores(end),
    }
