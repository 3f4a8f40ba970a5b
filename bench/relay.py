"""What relaying costs: CPU time per chunk, and what is added to the time until the first token.

The same clients ask the same upstream, in turn directly and through the function, several times in one run. Everything
runs on this machine, over loopback. `python bench/relay.py --help` lists the options; README.md says how to read it.
"""

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import processes
from load import Answer, ask_at_once, check
from processes import KEY

SHORT_ANSWERS = 200
"""How many answers of one token are asked for to see what a request costs by itself."""

QUIET_SECONDS = 2.0


@dataclass
class Way:
    """What was measured on one way to upstream, a value for each repetition."""

    first_tokens: list[float] = field(default_factory=list)
    answers: int = 0
    reads: int = 0
    function_cpu: list[float] = field(default_factory=list)
    upstream_cpu: list[float] = field(default_factory=list)
    clients_cpu: list[float] = field(default_factory=list)
    others_cores: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """The processes, and how much of what is asked of them."""

    upstream_pid: int
    function_pid: int
    streams: int
    tokens: int

    def measure(self, way: Way, port: int) -> None:
        """One repetition."""
        clocks = [self._function, self._upstream, time.process_time, processes.busy_seconds, time.monotonic]
        before = [clock() for clock in clocks]
        answers = asyncio.run(ask_at_once(port, KEY, self.streams, self.tokens))
        function, upstream, clients, busy, wall = (clock() - b for clock, b in zip(clocks, before, strict=True))
        check(answers, self.tokens)
        way.answers += len(answers)
        way.reads += sum(answer.reads for answer in answers)
        way.first_tokens += [answer.first_token_seconds for answer in answers]
        chunks = self.streams * self.tokens
        way.function_cpu.append(function / chunks)
        way.upstream_cpu.append(upstream / chunks)
        way.clients_cpu.append(clients / chunks)
        way.others_cores.append(max(0.0, busy - function - upstream - clients) / wall)

    def request_cpu(self, port: int) -> float:
        """CPU seconds of the function for one request with an answer of one token."""
        before = self._function()
        answers: Sequence[Answer] = asyncio.run(ask_at_once(port, KEY, SHORT_ANSWERS, 1))
        check(answers, 1)
        return (self._function() - before) / SHORT_ANSWERS

    def _function(self) -> float:
        return processes.cpu_seconds(self.function_pid)

    def _upstream(self) -> float:
        return processes.cpu_seconds(self.upstream_pid)


def measure(options: argparse.Namespace, streams: int) -> None:
    """One table."""
    with (
        processes.fake_upstream(options.rate) as (upstream_pid, upstream_port),
        processes.function(upstream_port) as (function_pid, function_port),
    ):
        bench = Bench(upstream_pid, function_pid, streams, options.tokens)
        asyncio.run(ask_at_once(function_port, KEY, streams, 20))  # threads, connections and caches are there from now on
        direct, through = Way(), Way()
        for _ in range(options.repeat):
            bench.measure(direct, upstream_port)
            bench.measure(through, function_port)
        request_cpu = bench.request_cpu(function_port)
    print(f"\n{streams} streams x {options.rate:g} tokens/s, {options.tokens} tokens each, {options.repeat} repetitions\n")
    report(direct, through, options.tokens)
    print(f"{'CPU per request of one token, function':<42}{'':>12}{request_cpu * 1e6:>12.0f} us")


def report(direct: Way, through: Way, tokens: int) -> None:
    """The table's rows."""

    def row(name: str, unit: str, value: Callable[[Way], float], digits: int = 1) -> None:
        of_direct, of_through = value(direct), value(through)
        added = f"{of_through - of_direct:+.{digits}f}" if unit == "ms" else ""
        print(f"{name:<42}{of_direct:>12.{digits}f}{of_through:>12.{digits}f} {unit:<9}{added:>8}")

    print(f"{'':<42}{'direct':>12}{'function':>12} {'':<9}{'added':>8}")
    row("first token, median", "ms", lambda way: statistics.median(way.first_tokens) * 1e3, 2)
    row("first token, 95th percentile", "ms", lambda way: statistics.quantiles(way.first_tokens, n=20)[-1] * 1e3, 2)
    row("CPU per chunk, function, median", "us", lambda way: statistics.median(way.function_cpu) * 1e6)
    row("CPU per chunk, function, least", "us", lambda way: min(way.function_cpu) * 1e6)
    row("CPU per chunk, function, most", "us", lambda way: max(way.function_cpu) * 1e6)
    row("CPU per chunk, fake upstream", "us", lambda way: statistics.median(way.upstream_cpu) * 1e6)
    row("CPU per chunk, clients", "us", lambda way: statistics.median(way.clients_cpu) * 1e6)
    row("reads per chunk at the client", "", lambda way: way.reads / (way.answers * tokens), 2)
    row("answers complete, every byte", "", lambda way: way.answers, 0)
    row("busy with anything else, most", "cores", lambda way: max(way.others_cores), 2)


def wait_for_quiet(most_seconds: float) -> None:
    """Wait until less than a fifth of one core is busy, for so long at most."""
    deadline = time.monotonic() + most_seconds
    while time.monotonic() < deadline:
        before = processes.busy_seconds()
        time.sleep(QUIET_SECONDS)
        if processes.busy_seconds() - before < QUIET_SECONDS / 5:
            return


def machine() -> str:
    """Where it was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}; load {load}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--streams", type=int, nargs="+", default=[50], help="how many streams at once; several make several tables"
    )
    parser.add_argument("--rate", type=float, default=50, help="tokens per second of each stream")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each answer, at most 5000")
    parser.add_argument("--wait", type=float, default=0, help="wait so many seconds at most for a quiet machine")
    parser.add_argument("--repeat", type=int, default=3, help="how often each way is measured")
    options = parser.parse_args()
    wait_for_quiet(options.wait)
    print(machine())
    for streams in options.streams:
        measure(options, streams)


if __name__ == "__main__":
    main()
