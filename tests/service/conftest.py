"""A pump of its own for each test that runs parts of the engine in this process."""

from collections.abc import Iterator

import pytest

from sluice_service.generation.pump import Pump


@pytest.fixture
def pump() -> Iterator[Pump]:
    pump = Pump()
    yield pump
    pump.stop()
