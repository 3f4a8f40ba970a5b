"""Write what streams cost: the capacity plan in docs/operations.md, the cost of an hour in the README, and
cloudbuild.yaml's `_CONCURRENCY`, which follows from them."""

import math
import sys
import textwrap
from collections.abc import Iterator

from generated import table, with_parts, write_or_check

CPU_MS_PER_TOKEN = 0.065
"""`.venv/bin/python -m bench paced --streams 200 --gateways sluice`, its row "CPU per chunk"; measure it again where
you run, and write it here."""

TOKENS_PER_SECOND = 30
"""What a stream carries: a model's usual speed."""

BYTES_PER_TOKEN = 250
"""A frame of one token in OpenAI's dialect, with what HTTP, TLS and TCP add: 200 to 230 bytes and 30."""

TARGET = 0.6
"""How full Cloud Run's autoscaler keeps instances, of their CPU and of their --concurrency each; whichever asks for more
instances decides. https://cloud.google.com/run/docs/about-instance-autoscaling."""

MOST_PER_INSTANCE = 1000
"""Cloud Run's largest --concurrency."""

# Cloud Run's list prices in its cheaper regions (tier 1, europe-west1 among them), instance-based billing, and the first
# rate of Premium Tier's data transfer out; https://cloud.google.com/run/pricing.
DOLLARS_PER_CPU_SECOND = 0.000018
DOLLARS_PER_GIB_SECOND = 0.000002
DOLLARS_PER_GIB_SENT = 0.12
INSTANCE_GIB = 1

PERCENT = f"{TARGET:.0%}".replace("%", " %")
PLANNED = (1_000, 10_000, 100_000, 1_000_000)

TOKENS_PER_CPU = 1000 / CPU_MS_PER_TOKEN
STREAMS_PER_INSTANCE = round(TARGET * min(MOST_PER_INSTANCE, TOKENS_PER_CPU / TOKENS_PER_SECOND))
CONCURRENCY = round(STREAMS_PER_INSTANCE / TARGET)
"""So that both targets are reached by the same number of streams."""

INSTANCE_DOLLARS = 3600 * (DOLLARS_PER_CPU_SECOND + INSTANCE_GIB * DOLLARS_PER_GIB_SECOND)
STREAM_GIB = 3600 * TOKENS_PER_SECOND * BYTES_PER_TOKEN / 2**30


def main() -> int:
    return write_or_check(
        "Compute what streams cost.",
        {
            "docs/operations.md": with_parts("docs/operations.md", {"instance": instance(), "capacity": capacity()}),
            "README.md": with_parts("README.md", {"cost": cost()}),
            "cloudbuild.yaml": with_parts("cloudbuild.yaml", {"concurrency": concurrency()}),
        },
    )


def instance() -> str:
    """What one instance of one CPU carries."""
    rows = [
        ("CPU time of a token, measured", "", f"{CPU_MS_PER_TOKEN} ms"),
        ("tokens a second that one CPU relays", f"1000 ms ÷ {CPU_MS_PER_TOKEN} ms", f"{TOKENS_PER_CPU:,.0f}"),
        (
            "streams that Cloud Run gives one instance",
            f"{PERCENT} × {TOKENS_PER_CPU:,.0f} ÷ {TOKENS_PER_SECOND} tokens/s, at most {PERCENT} × {MOST_PER_INSTANCE:,}",
            f"**{STREAMS_PER_INSTANCE:,}**",
        ),
        ("`--concurrency`", f"{STREAMS_PER_INSTANCE:,} ÷ {PERCENT}", f"**{CONCURRENCY:,}**"),
    ]
    return table(["figure", "arithmetic", "value"], rows)


def concurrency() -> str:
    """cloudbuild.yaml's setting, with its reason."""
    reason = (
        f"Requests that one instance serves at once. Cloud Run starts another one when {PERCENT} of these places are taken, "
        f"or {PERCENT} of the CPU, of which a token takes {CPU_MS_PER_TOKEN} ms: at {STREAMS_PER_INSTANCE:,} streams of "
        f"{TOKENS_PER_SECOND} tokens a second."
    )
    lines = (*(f"# {line}" for line in textwrap.wrap(reason, 120)), f"_CONCURRENCY: '{CONCURRENCY}'")
    return "".join(f"  {line}\n" for line in lines)


def capacity() -> str:
    """What so many streams at once take."""
    heads = [
        "streams at once",
        "tokens a second",
        "instances of 1 CPU, 1 GiB",
        "sent",
        "instances, an hour",
        "sent, an hour",
    ]
    return table(heads, map(_planned, PLANNED))


def _planned(streams: int) -> list[str]:
    instances = math.ceil(streams / STREAMS_PER_INSTANCE)
    tokens = streams * TOKENS_PER_SECOND
    gigabits = tokens * BYTES_PER_TOKEN * 8 / 1e9
    dollars = (instances * INSTANCE_DOLLARS, streams * STREAM_GIB * DOLLARS_PER_GIB_SENT)
    return [
        f"{streams:,}",
        f"{tokens:,}",
        f"{instances:,}",
        f"{gigabits:,.2g} Gbit/s",
        *(f"${part:,.2f}" for part in dollars),
    ]


def cost() -> str:
    """What one stream costs in an hour, and a million tokens."""
    return table(["", "arithmetic", "a stream for an hour", "a million tokens"], _costs())


def _costs() -> Iterator[tuple[str, str, str, str]]:
    seconds = 1e6 / TOKENS_PER_SECOND
    cpu = INSTANCE_DOLLARS / STREAMS_PER_INSTANCE
    sent = STREAM_GIB * DOLLARS_PER_GIB_SENT
    shared = f"${INSTANCE_DOLLARS:.3f} an instance and hour ÷ {STREAMS_PER_INSTANCE:,} streams"
    carried = f"{TOKENS_PER_SECOND} tokens/s × {BYTES_PER_TOKEN} bytes × 3600 s × ${DOLLARS_PER_GIB_SENT} a GiB"
    for name, arithmetic, dollars in (
        ("CPU and memory", shared, cpu),
        ("data sent", carried, sent),
        ("**both**", "", cpu + sent),
    ):
        yield name, arithmetic, f"${dollars:.5f}", f"${dollars * seconds / 3600:.3f}"


if __name__ == "__main__":
    sys.exit(main())
