"""The parts of the benchmark: which workloads, on which gateways, how often."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench import cold_start, programs, terminal
from bench.breaking import Resumes, SlowReaders
from bench.crowded import Newcomers
from bench.gateways import GATEWAYS, running
from bench.memory import Idle, LongAnswer, ManyRequests
from bench.paced import Paced
from bench.programs import Upstream
from bench.requests import FullSpeed, Requests
from bench.site import Figures, Site, Workload

Cells = Mapping[tuple[str, str], Sequence[Figures]]
"""By the names of workload and gateway, the figures of each round."""

MOST_STREAMS = {"tutorial": 50, "litellm": 50}
"""Beyond them they are saturated, and an answer would be awaited for minutes."""

EVERYONE = tuple(GATEWAYS)
WITHOUT_LITELLM = ("direct", "nginx", "sluice", "tutorial")


def side_by_side(
    workloads: Sequence[Workload], gateway: str, upstream: Upstream, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Figures]]:
    """One start of a gateway, and every workload on it that it can bear."""
    with running(gateway, upstream.port, settings) as started:
        for workload in workloads:
            if workload.streams <= MOST_STREAMS.get(gateway, workload.streams):
                yield workload.name, workload.measure(Site(started, upstream))


@dataclass(frozen=True)
class Part:
    """`measure` gets a gateway's name and yields figures by workload."""

    about: str
    measure: Callable[[str, Upstream], Iterator[tuple[str, Figures]]]
    gateways: Sequence[str] = EVERYONE
    rounds: int = 3

    def run(self, gateways: Sequence[str], rounds: int | None = None) -> Cells:
        """All cells, the gateways in turn within each round; each is told as it comes."""
        cells: dict[tuple[str, str], list[Figures]] = defaultdict(list)
        with programs.upstream() as upstream:
            for number in range(1, (rounds or self.rounds) + 1):
                for gateway in gateways:
                    for workload, figures in self.measure(gateway, upstream):
                        cells[workload, gateway].append(figures)
                        told = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
                        print(f"  round {number}, {gateway}, {workload}: {told}", flush=True)
        return cells


def paced(streams: Sequence[int], rate: float = 50, seconds: float = 8, in_step: bool = False) -> Part:
    """Streams at the pace of models, at several numbers."""
    workloads = [Paced(number, rate, seconds, in_step) for number in streams]
    return Part("streams at the pace of models", partial(side_by_side, workloads))


def _part(
    about: str, *workloads: Workload, gateways: Sequence[str] = WITHOUT_LITELLM, rounds: int = 3, **settings: str
) -> Part:
    return Part(about, partial(side_by_side, workloads, settings=settings), gateways, rounds)


PARTS: Mapping[str, Part] = {
    "paced": paced((20, 50, 200, 500)),
    "thousand": _part("1,000 streams at 20 tokens/s", Paced(1000, 20), gateways=("direct", "nginx", "sluice")),
    "full": _part("streams at full speed", *map(FullSpeed, (1, 20, 200, 500))),
    "requests": _part(
        "requests of one token, streamed and plain",
        *(Requests(plain, streams, count) for plain in (False, True) for streams, count in ((1, 200), (20, 1_000))),
        gateways=EVERYONE,
    ),
    "idle": _part("open streams that are silent: memory and CPU", Idle()),
    "resumes": _part("readers that drop and resume", Resumes(), gateways=("sluice",)),
    "slow": _part("slow readers beside others", SlowReaders()),
    "newcomers": _part("new requests while 500 streams are busy", Newcomers(), gateways=("direct", "nginx", "sluice")),
    "long": _part("memory of one stream of 10,000 tokens", LongAnswer()),
    # Ended streams can be resumed for ten minutes: here for two seconds, so that what grows is growth.
    "flat": _part(
        "memory over 10,000 requests",
        ManyRequests(),
        gateways=("nginx", "sluice", "tutorial"),
        rounds=1,
        RESUME_TTL_SECONDS="2",
    ),
    "cold": Part("process start to the first token", cold_start.measure, ("nginx", "sluice", "tutorial", "litellm"), 5),
    "terminal": Part("the chat: Enter to paint", terminal.measure, ("sluice",)),
}
