"""Memory: of open streams, of a long answer, of many requests. PSS of all the gateway's processes."""

import threading
import time
from dataclasses import dataclass

from bench.programs import Load
from bench.site import Figures, Site, seen

SAMPLE_SECONDS = 0.25


@dataclass(frozen=True)
class Idle:
    """Streams that are open and silent after their first token."""

    streams: int = 1_000
    seconds: float = 6

    @property
    def name(self) -> str:
        return f"{self.streams} open streams, silent"

    def measure(self, site: Site) -> Figures:
        site.warm(1)
        base = site.pss_mib()
        load = site.load(connections=self.streams, tokens=2, rate=0.02, ramp_ms=3000, limit_s=60)
        time.sleep(3 + 2)
        before = site.moment(load.pid)
        time.sleep(self.seconds)
        after = site.moment(load.pid)
        full = site.pss_mib()
        load.stop()
        return {
            "base PSS MiB": base,
            "PSS KiB per stream": (full - base) * 1024 / self.streams,
            "CPU ms per stream and minute": (after.gateway - before.gateway) / self.seconds * 60 / self.streams * 1e3,
            "foreign cores": before.foreign_cores(after),
        }


@dataclass(frozen=True)
class LongAnswer:
    """One answer of many tokens, as fast as a fast model."""

    tokens: int = 10_000
    rate: float = 2_500
    streams: int = 1

    @property
    def name(self) -> str:
        return f"one stream of {self.tokens} tokens"

    def measure(self, site: Site) -> Figures:
        site.warm(5)
        base = site.pss_mib()
        load = site.load(tokens=self.tokens, rate=self.rate)
        with _Peak(site) as peak:
            report = load.report()
        return {"PSS grown MiB": peak.mib - base, "complete": seen(report)["complete"]}


class _Peak:
    """The largest PSS while it is watched."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self.mib = 0.0

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.mib = max(self.mib, self._site.pss_mib())

    def __enter__(self) -> "_Peak":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()
        self.mib = max(self.mib, self._site.pss_mib())


@dataclass(frozen=True)
class ManyRequests:
    """Requests in ten parts; what the last five add is growth, what the first add is warming up."""

    count: int = 10_000
    streams: int = 20

    @property
    def name(self) -> str:
        return f"{self.count} requests"

    def measure(self, site: Site) -> Figures:
        sizes, complete = [site.pss_mib()], 0
        for _ in range(10):
            report = self._part(site).report()
            complete += report["complete"]
            sizes.append(site.pss_mib())
        return {
            "complete": complete / self.count,
            "PSS MiB before": sizes[0],
            "PSS MiB half-way": sizes[5],
            "PSS MiB after": sizes[10],
            "PSS KiB per request, second half": (sizes[10] - sizes[5]) * 1024 / (self.count / 2),
        }

    def _part(self, site: Site) -> Load:
        return site.load(connections=self.streams, requests=self.count // 10 // self.streams, limit_s=120)
