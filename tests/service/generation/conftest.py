"""An engine in this process: a pump of its own for each test, and generations over scripted providers."""

from collections.abc import Callable, Sequence

import pytest

from sluice_service.generation.attempts import Target
from sluice_service.generation.clocks import Clocks
from sluice_service.generation.generation import Generation, Plan
from sluice_service.generation.memory_log import MemoryLog
from sluice_service.generation.pump import Pump
from sluice_service.generation.registry import Registry
from sluice_service.providers.base import ModelCall
from sluice_service.web.openai_dialect import OpenAIDialect
from tests.support.scripted_provider import ScriptedProvider

Start = Callable[..., Generation]


@pytest.fixture
def registry(pump: Pump) -> Registry:
    return Registry(pump, MemoryLog, max_log_bytes=1 << 20, resume_ttl_seconds=60)


@pytest.fixture
def start(registry: Registry) -> Start:
    """Start a generation over these providers, asked in turn."""
    numbers = iter(range(1000))

    def start(
        *providers: ScriptedProvider,
        clocks: Clocks = Clocks(5, 5, 5),  # noqa: B008 - frozen
        max_bytes: int = 1 << 20,
        grace: float | None = 0.0,
        parameters: dict[str, object] | None = None,
        owner: str = "alice",
    ) -> Generation:
        call = ModelCall("m", [{"role": "user", "content": "hi"}], parameters or {})
        targets: Sequence[Target] = [Target(provider, call) for provider in providers]
        plan = Plan(f"stream{next(numbers)}", owner, targets, clocks, max_bytes, grace)
        dialect = OpenAIDialect(plan.stream_id, "m", include_usage=True)
        generation = Generation(plan, dialect, registry.new_log(dialect.envelope))
        registry.start(generation)
        return generation

    return start
