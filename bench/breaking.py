"""Readers that drop and resume, and readers that are slow."""

import time
from dataclasses import dataclass

from bench.paced import Paced
from bench.site import Figures, Site, answers, seen

_FIFTY = Paced(50, seconds=6)


@dataclass(frozen=True)
class Resumes:
    """Every reader drops its connection again and again, and continues the same stream at its frame."""

    streams: int = 50
    tokens: int = 400
    rate: float = 100
    drop_every: int = 20

    @property
    def name(self) -> str:
        return f"{self.streams} streams x {self.rate:g} tokens/s, dropped and resumed every {self.drop_every} frames"

    def measure(self, site: Site) -> Figures:
        site.warm(self.streams)
        options = {"connections": self.streams, "tokens": self.tokens, "rate": self.rate, "ramp_ms": 500, "delay_ms": 100}
        _, whole, _ = site.whole(**options)
        report, dropped, disturbed = site.whole(**options, drop_every=self.drop_every)
        return {
            "resumes": report["resumed"],
            "CPU ms per resume": (dropped - whole) / max(1, report["resumed"]) * 1e3,
            **seen(report),
            **disturbed,
        }


@dataclass(frozen=True)
class SlowReaders:
    """Some read 200 KB/s of what upstream tells at full speed, beside others whose streams are paced."""

    slow: int = 10
    bytes_per_second: int = 200_000
    tokens: int = 5_000
    beside: Paced = _FIFTY

    @property
    def streams(self) -> int:
        return self.slow + self.beside.streams

    @property
    def name(self) -> str:
        return f"{self.slow} slow readers beside {self.beside.name}"

    def measure(self, site: Site) -> Figures:
        site.warm(self.streams)
        base = site.pss_mib()
        slow = site.load(connections=self.slow, tokens=self.tokens, bytes_per_second=self.bytes_per_second, limit_s=60)
        time.sleep(1)
        others = site.load(**self.beside.options).report()
        grown = site.pss_mib() - base
        slow_report = slow.report()
        return {
            "slow complete": slow_report["complete"] / max(1, answers(slow_report)),
            "PSS grown MiB": grown,
            **seen(others),
        }
