"""Every place to count in, with a real Redis for the shared one."""

from collections.abc import Iterator
from functools import partial

import pytest

from sluice_service.quotas.base import Quotas
from sluice_service.quotas.memory import MemoryQuotas
from sluice_service.quotas.redis import RedisQuotas
from tests.service.quotas.backends import MakeQuotas
from tests.support.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """One that the test may stop."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module", params=["memory", "redis"])
def make_quotas(request: pytest.FixtureRequest) -> MakeQuotas:
    if request.param == "memory":
        return MemoryQuotas
    server: RedisServer = request.getfixturevalue("shared_redis")
    return partial(RedisQuotas, server.url)


@pytest.fixture(scope="module")
def quotas(make_quotas: MakeQuotas) -> Quotas:
    return make_quotas()


@pytest.fixture(scope="module")
def two_instances(make_quotas: MakeQuotas) -> tuple[Quotas, Quotas]:
    """Two that count together: in memory that is one and the same."""
    first = make_quotas()
    return first, first if isinstance(first, MemoryQuotas) else make_quotas()
