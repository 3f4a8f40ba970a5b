"""The guard of every check run: fails when relaying has become much dearer than it was.

`python -m bench.guard` takes less than a minute. The tutorial's gateway runs beside the function, so that what slows the
machine slows both; only the ratio of their CPU time per chunk is judged.
"""

import statistics
import sys
import time
from contextlib import ExitStack

from bench import programs
from bench.gateways import running
from bench.paced import Paced
from bench.site import Site

LEAST_RATIO = 1.4
"""The tutorial's CPU time per chunk over the function's: half of what is measured, 2.6 to 3.0 on a busy machine."""

ROUNDS = 3
WORKLOAD = Paced(20, seconds=1)
GATEWAYS = ("tutorial", "sluice")


def main() -> None:
    programs.end_on_sigterm()
    began = time.monotonic()
    ratio = statistics.median(ratios())
    print(f"median {ratio:.2f}, at least {LEAST_RATIO} is wanted; {time.monotonic() - began:.0f} s")
    if ratio < LEAST_RATIO:
        sys.exit("Relaying has become too dear: see above what a chunk costs the function and a tutorial's gateway.")


def ratios() -> list[float]:
    """The tutorial's CPU time per chunk over the function's, of each round."""
    found = []
    with programs.upstream() as upstream, ExitStack() as stack:
        sites = [Site(stack.enter_context(running(name, upstream.port)), upstream) for name in GATEWAYS]
        for site in sites:
            site.warm(WORKLOAD.streams)
        for _ in range(ROUNDS):
            tutorial, sluice = (_cpu_per_chunk(site) for site in sites)
            print(f"CPU per chunk: tutorial {tutorial:.0f} µs, sluice {sluice:.0f} µs: {tutorial / sluice:.2f}", flush=True)
            found.append(tutorial / sluice)
    return found


def _cpu_per_chunk(site: Site) -> float:
    """In microseconds, the requests' own cost included. Raises SystemExit when an answer is not whole."""
    report, cpu_seconds, _ = site.whole(**WORKLOAD.options)
    if report["complete"] < WORKLOAD.streams:
        sys.exit(
            f"{site.gateway.name}: {report['complete']} of {WORKLOAD.streams} answers are whole: {report['first_failure']}"
        )
    return cpu_seconds / int(report["tokens"]) * 1e6


if __name__ == "__main__":
    main()
