"""Places among a user's streams, in Redis: a sorted set for each user, scored by when the lease ends by itself.

Times are those of Redis, so that the clocks of the instances need not agree.
"""

from collections.abc import Iterable

from redis import Redis

_LIVE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local live = redis.call('ZCARD', KEYS[1])
"""

_COUNT = f"{_LIVE} return live"

# The key lives as long as the longest lease, which need not be the newest.
_TAKE = f"""{_LIVE}
if live >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], math.ceil(tonumber(last) * 1000))
return 1
"""


class RedisPlaces:
    """All methods raise RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._count = redis.register_script(_COUNT)
        self._take = redis.register_script(_TAKE)

    def take(self, user: str, stream_id: str, places: int, lease_seconds: float) -> bool:
        """Take a place, if fewer than `places` are taken: one step for all instances."""
        return bool(self._take([_key(user)], [places, stream_id, lease_seconds]))

    def count(self, user: str) -> int:
        """How many are taken."""
        return int(self._count([_key(user)]))

    def free(self, places: Iterable[tuple[str, str]]) -> None:
        """Free places, each a user and a stream id; those that are free already stay so."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for user, stream_id in places:
                pipeline.zrem(_key(user), stream_id)
            pipeline.execute()


def _key(user: str) -> str:
    return f"sluice:streams:{user}"
