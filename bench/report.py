"""Figures as one table, and as a file that is kept."""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from bench import litellm
from bench.parts import Cells
from bench.programs import BENCH
from bench.site import Figures

RESULTS = BENCH / "results"
DISTURBED_CORES = 0.1
"""With more foreign work than this, in the median, a cell is marked."""

_COSTS = ("CPU µs per chunk", "CPU ms per request", "to the first token s")
_RATIOS = (("sluice", "nginx"), ("tutorial", "sluice"), ("litellm", "sluice"))
_SINCE_DIRECT = ("first token p50 ms", "first token p99 ms", "latency p50 ms", "latency p99 ms")


def table(cells: Cells) -> str:
    """Medians over the rounds: a row for each figure, a column for each gateway, ratios for what costs."""
    gateways = list(dict.fromkeys(gateway for _, gateway in cells))
    ratios = [ratio for ratio in _RATIOS if set(ratio) <= set(gateways)]
    head = ["", *gateways, *(f"{over} ÷ {under}" for over, under in ratios)]
    rows = [[f"**{workload}**", *[""] * (len(head) - 1)] if not figure else row
            for workload in dict.fromkeys(workload for workload, _ in cells)
            for figure, row in chain([("", [])], _rows(cells, workload, gateways, ratios))]  # fmt: skip
    return _markdown([head, *rows])


def _rows(
    cells: Cells, workload: str, gateways: Sequence[str], ratios: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, list[str]]]:
    names = dict.fromkeys(name for gateway in gateways for figures in cells.get((workload, gateway), ()) for name in figures)
    for figure in names:
        medians = {gateway: median(cells, workload, gateway, figure) for gateway in gateways}
        values = [_value(medians[gateway], _disturbed(cells, workload, gateway)) for gateway in gateways]
        told = [_ratio(medians[over], medians[under]) if figure in _COSTS else "" for over, under in ratios]
        yield figure, [figure, *values, *told]
        if figure in _SINCE_DIRECT and medians.get("direct") is not None:
            added = [_added(medians[gateway], medians["direct"]) if gateway != "direct" else "" for gateway in gateways]
            yield figure, ["… added to direct", *added, *[""] * len(ratios)]


def _added(value: float | None, direct: float | None) -> str:
    return "" if value is None or direct is None else f"{value - direct:+.2f}"


def median(cells: Cells, workload: str, gateway: str, figure: str) -> float | None:
    """Over the rounds; None when it was not measured."""
    values = [figures[figure] for figures in cells.get((workload, gateway), ()) if figure in figures]
    return statistics.median(values) if values else None


def _disturbed(cells: Cells, workload: str, gateway: str) -> bool:
    return (median(cells, workload, gateway, "foreign cores") or 0) > DISTURBED_CORES


def _value(value: float | None, disturbed: bool) -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}" + "*" * disturbed


def _ratio(over: float | None, under: float | None) -> str:
    return f"{over / under:.1f}" if over and under else ""


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if not n else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join((first, *others)) + " |"

    return "\n".join(map(line, (rows[0], rule, *rows[1:])))


def circumstances() -> str:
    """When, where and with what it was measured."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    packages = ("functions-framework", "gunicorn", "flask", "openai")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    now = datetime.datetime.now(datetime.UTC)
    lines = (
        f"{now:%Y-%m-%d %H:%M} UTC, sluice at {_output('git', 'describe', '--always', '--dirty')}",
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        f"Python {platform.python_version()}, {versions}; LiteLLM {litellm.VERSION}; {_output('nginx', '-v')}",
    )
    return "\n".join(f"- {line}" for line in lines)


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"no {command[0]}"
    return (done.stdout or done.stderr).strip().removeprefix("nginx version: ")


def keep(title: str, text: str, cells: Cells) -> Path:
    """Write a run's circumstances, its table and the figures of every round into a file of its own."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    path = RESULTS / f"{now:%Y-%m-%d-%H%M}-{title}.md"
    rounds = "\n".join(_round(*cell, figures) for cell, rounds in cells.items() for figures in rounds)
    path.write_text(f"# {title}\n\n{circumstances()}\n\n{text}\n\nEvery round:\n\n```json\n{rounds}\n```\n")
    return path


def _round(workload: str, gateway: str, figures: Figures) -> str:
    rounded = {name: round(value, 4) for name, value in figures.items()}
    return json.dumps({"workload": workload, "gateway": gateway, **rounded}, ensure_ascii=False)
