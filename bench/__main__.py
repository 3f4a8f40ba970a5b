"""`python -m bench`: measure gateways side by side and print one table for each workload."""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bench import programs
from bench.gateways import GATEWAYS
from bench.paced import Paced

Cells = Mapping[tuple[str, str], Sequence[Mapping[str, float]]]
"""By workload and gateway, the figures of each round."""


def run(workloads: Sequence[Paced], gateways: Sequence[str], rounds: int) -> Cells:
    """Every workload on every gateway, gateways in turn within each round."""
    cells = defaultdict(list)
    with programs.upstream() as (upstream_pid, upstream_port):
        for number in range(rounds):
            for name in gateways:
                with GATEWAYS[name](upstream_port) as gateway:
                    for workload in workloads:
                        cells[workload.name, name].append(cell := workload.measure(gateway, upstream_pid))
                        print(f"  round {number + 1}: {workload.name}, {name}: {brief(cell)}", flush=True)
    return cells


def brief(cell: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in cell.items())


def table(cells: Cells, workload: str, gateways: Sequence[str]) -> str:
    """Medians over the rounds, a row for each figure."""
    rows = [f"{workload:<28}" + "".join(f"{name:>12}" for name in gateways)]
    names = dict.fromkeys(name for gateway in gateways for cell in cells[workload, gateway] for name in cell)
    for figure in names:
        medians = (
            statistics.median(cell.get(figure, float("nan")) for cell in cells[workload, gateway]) for gateway in gateways
        )
        rows.append(f"{figure:<28}" + "".join(f"{median:>12.3f}" for median in medians))
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parts = parser.add_subparsers(required=True, metavar="PART")
    paced = parts.add_parser("paced", help="streams at the pace of a model")
    paced.add_argument("--streams", type=int, nargs="+", default=[50, 200, 500])
    paced.add_argument("--rate", type=float, default=50, help="tokens per second of each stream")
    paced.add_argument("--seconds", type=float, default=8, help="how long all streams run side by side")
    paced.add_argument("--gateways", nargs="+", choices=GATEWAYS, default=["direct", "nginx", "sluice"])
    paced.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    workloads = [Paced(streams, options.rate, options.seconds) for streams in options.streams]
    cells = run(workloads, options.gateways, options.rounds)
    for workload in workloads:
        print("\n" + table(cells, workload.name, options.gateways))


if __name__ == "__main__":
    main()
