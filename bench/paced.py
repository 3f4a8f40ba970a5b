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
        load = site.load(**self.options)
        moments: list[tuple[Moment, int]] = []

        def note(event: Report) -> None:
            moments.append((site.moment(load.pid), event["tokens"]))

        report = load.report(note)
        return {**_steady(moments), **seen(report)}


def _steady(moments: list[tuple[Moment, int]]) -> Figures:
    if len(moments) < 2:
        return {}  # not all streams began
    (start, tokens_before), (end, tokens_after) = moments
    tokens, seconds = tokens_after - tokens_before, end.at - start.at
    return {
        "CPU µs per chunk": (end.gateway - start.gateway) / tokens * 1e6,
        "gateway cores": (end.gateway - start.gateway) / seconds,
        "tools cores": (end.tools - start.tools) / seconds,
        "chunks per second": tokens / seconds,
        "foreign cores": start.foreign_cores(end),
    }
