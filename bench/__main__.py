"""`python -m bench`: gateways side by side, and one table of what they cost."""

import argparse
from collections.abc import Sequence

from bench import cold_start, programs, report
from bench.gateways import GATEWAYS
from bench.parts import PARTS, Cells, paced


def main() -> None:
    options = _options()
    programs.end_on_sigterm()
    cells: Cells = {}
    for name in PARTS if options.part == "all" else [options.part]:
        part = paced(options.streams, options.rate, options.seconds, options.in_step) if options.streams else PARTS[name]
        print(f"{name}: {part.about}", flush=True)
        chosen = [
            gateway for gateway in options.gateways or part.gateways if options.part != "all" or gateway in part.gateways
        ]
        cells = {**cells, **part.run(chosen, options.rounds)}
    told = report.table(cells)
    if options.part in ("cold", "all"):
        told += "\n\nWhere the function's start goes, ms of each package's own modules:\n\n" + _imports()
    print(f"\n{report.circumstances()}\n\n{told}")
    if options.keep:
        print(f"\nkept in {report.keep(options.part, told, cells)}")


def _imports() -> str:
    return "\n".join(f"- {package}: {milliseconds:.0f}" for package, milliseconds in cold_start.imports())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    every = parts.add_parser("all", help="every part, which takes an hour")
    for name, part in PARTS.items():
        _common(alone := parts.add_parser(name, help=part.about), part.gateways)
        if name == "paced":
            _paced(alone)
    _common(every, list(GATEWAYS))
    parser.set_defaults(streams=None)
    return parser.parse_args()


def _common(parser: argparse.ArgumentParser, gateways: Sequence[str]) -> None:
    parser.add_argument("--gateways", nargs="+", choices=GATEWAYS, help=f"of {', '.join(gateways)}; all of them unless said")
    parser.add_argument("--rounds", type=int, help="how often each cell is measured")
    parser.add_argument("--keep", action="store_true", help="write the table into a file in bench/results/")


def _paced(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, nargs="+", default=[20, 50, 200, 500], help="how many streams at once")
    parser.add_argument("--rate", type=float, default=50, help="tokens per second of each stream")
    parser.add_argument("--seconds", type=float, default=8, help="how long all streams run side by side")
    parser.add_argument("--in-step", action="store_true", help="the tokens of all streams come at the same moments")


if __name__ == "__main__":
    main()
