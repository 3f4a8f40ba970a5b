"""New requests while many streams are busy."""

import time
from dataclasses import dataclass

from bench.paced import RAMP_SECONDS, Paced
from bench.site import Figures, Site, seen

_FIVE_HUNDRED = Paced(500)


@dataclass(frozen=True)
class Newcomers:
    """One new connection and request after another, each for one token, beside paced streams."""

    beside: Paced = _FIVE_HUNDRED
    count: int = 60
    every_ms: int = 80

    @property
    def streams(self) -> int:
        return self.beside.streams

    @property
    def name(self) -> str:
        return f"new requests beside {self.beside.name}"

    def measure(self, site: Site) -> Figures:
        site.warm(self.beside.streams)
        crowd = site.load(**self.beside.options)
        time.sleep(RAMP_SECONDS + 1)
        before = site.moment(crowd.pid)
        newcomers = site.load(requests=self.count, pause_ms=self.every_ms, reconnect=1)
        report = newcomers.report()
        after = site.moment(crowd.pid)
        of_crowd = crowd.report()
        return {
            **{name: value for name, value in seen(report).items() if name.startswith(("complete", "first"))},
            "complete, of the crowd": seen(of_crowd)["complete"],
            "first token p95 ms, of the crowd": of_crowd["first_token_us"].get("p95", float("nan")) / 1e3,
            "foreign cores": before.foreign_cores(after, others_of_ours=report["cpu_us"] / 1e6),
        }
