"""Streams at the pace of models: so many side by side, each with so many tokens a second."""

from dataclasses import dataclass

from bench.accounting import Moment
from bench.programs import Report
from bench.site import Figures, Site, seen

RAMP_SECONDS = 2.0
FIRST_TOKEN_MS = 100
SPARE_SECONDS = 15
"""How much later than upstream an answer may end before it is given up."""


@dataclass(frozen=True)
class Paced:
    """`seconds` is how long all streams run side by side at least: CPU time is counted over that span alone.

    The tokens of different streams come at different moments, as from a real provider, or all in step.
    """

    streams: int
    rate: float = 50
    seconds: float = 8
    in_step: bool = False

    @property
    def name(self) -> str:
        return f"{self.streams} streams x {self.rate:g} tokens/s" + (", in step" if self.in_step else "")

    @property
    def options(self) -> dict[str, object]:
        """For the load generator."""
        tokens = int(self.rate * (self.seconds + RAMP_SECONDS + 1))
        return {
            "connections": self.streams,
            "tokens": tokens,
            "rate": self.rate,
            "delay_ms": FIRST_TOKEN_MS,
            "ramp_ms": RAMP_SECONDS * 1000,
            "spread": int(not self.in_step),
            "limit_s": RAMP_SECONDS + tokens / self.rate + SPARE_SECONDS,
        }

    def measure(self, site: Site) -> Figures:
        site.warm(self.streams)
        moments = [(site.moment(), 0)]
        load = site.load(**self.options)

        def note(event: Report) -> None:
            moments.append((site.moment(load.pid), event["tokens"]))

        report = load.report(note)
        if len(moments) == 3:
            return {**_costs(moments[1], moments[2]), **seen(report)}
        # Some began when others were over already: then all of it counts.
        return {**_costs(moments[0], (site.moment(), report["tokens"]), report["cpu_us"] / 1e6), **seen(report)}


def _costs(start: tuple[Moment, int], end: tuple[Moment, int], ended_tools_seconds: float = 0.0) -> Figures:
    (before, tokens_before), (after, tokens_after) = start, end
    tokens, seconds = tokens_after - tokens_before, after.at - before.at
    return {
        "CPU µs per chunk": (after.gateway - before.gateway) / max(1, tokens) * 1e6,
        "gateway cores": (after.gateway - before.gateway) / seconds,
        "tools cores": (after.tools - before.tools + ended_tools_seconds) / seconds,
        "chunks per second": tokens / seconds,
        "foreign cores": before.foreign_cores(after, ended_tools_seconds),
    }
