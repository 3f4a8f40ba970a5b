"""Requests that end soon: what one costs, and what an answer at full speed costs."""

from dataclasses import dataclass

from bench.site import Figures, Site, seen

FULL_SPEED_TOKENS = 2_000


@dataclass(frozen=True)
class Requests:
    """Answers of one token, each connection asking one after another."""

    plain: bool = False
    streams: int = 1
    count: int = 200

    @property
    def name(self) -> str:
        return f"{'plain' if self.plain else 'streamed'} requests of one token, {self.streams} at once"

    def measure(self, site: Site) -> Figures:
        site.warm(self.streams)
        each = self.count // self.streams
        report, cpu, disturbed = site.whole(connections=self.streams, requests=each, plain=int(self.plain))
        first = {} if self.plain else {name: value for name, value in seen(report).items() if name.startswith("first")}
        return {
            "CPU ms per request": cpu / self.count * 1e3,
            "requests per second": report["complete"] / report["seconds"],
            **first,
            "whole answer p50 ms": report["whole_us"].get("p50", float("nan")) / 1e3,
            "whole answer p99 ms": report["whole_us"].get("p99", float("nan")) / 1e3,
            "complete": seen(report)["complete"],
            **disturbed,
        }


@dataclass(frozen=True)
class FullSpeed:
    """Upstream tells as fast as it is read: events arrive, and may be passed on, in batches."""

    streams: int
    each: int = 2

    @property
    def name(self) -> str:
        return f"{self.streams} streams at full speed"

    def measure(self, site: Site) -> Figures:
        site.warm(self.streams)
        report, cpu, disturbed = site.whole(
            connections=self.streams, requests=self.each, tokens=FULL_SPEED_TOKENS, limit_s=120
        )
        return {
            "CPU µs per chunk": cpu / max(1, report["tokens"]) * 1e6,
            "chunks per second": report["tokens"] / report["seconds"],
            "complete": seen(report)["complete"],
            **disturbed,
        }
