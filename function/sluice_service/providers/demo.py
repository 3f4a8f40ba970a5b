"""A model that needs no network: deterministic answers, at a chosen speed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from sluice_service.providers.base import ModelCall, Take
from sluice_wire.events import Delta, Finish, Usage


class DemoProvider:
    """Answers offline, `tokens_per_second` fast, after `first_token_ms` milliseconds of thought."""

    def __init__(self, tokens_per_second: float, first_token_ms: float) -> None:
        self._interval_seconds = 1 / tokens_per_second
        self._first_token_seconds = first_token_ms / 1000

    async def relay(self, call: ModelCall, take: Take) -> None:
        """Make a call: see `Provider.relay`. The batches hold whatever is due, so the speed is kept under load."""
        # Imported here: where a real model is asked, a cold start does without.
        from sluice_service.providers.demo_text import answer, count_tokens, tokens_of

        take(())
        whole = tokens_of(answer(call.messages))
        tokens = whole[: _limit(call.parameters)]
        first_due = asyncio.get_running_loop().time() + self._first_token_seconds
        done = 0
        while done < len(tokens):
            due = await self._due(first_due, done)
            take([_delta(token) for token in tokens[done:due]])
            done = due
        reason = "stop" if len(tokens) == len(whole) else "length"
        choice = {"index": 0, "delta": {}, "finish_reason": reason, "logprobs": None}
        take([Finish([choice]), Usage(_usage(count_tokens(call.messages), len(tokens)))])

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def _due(self, first_due: float, done: int) -> int:
        """Wait for the next token's moment; how many are due by then, counted from the start, so that no delay adds up."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, first_due + done * self._interval_seconds - loop.time()))
        return max(done, int((loop.time() - first_due) / self._interval_seconds)) + 1


def _limit(parameters: Mapping[str, Any]) -> int | None:
    limits = (parameters.get(name) for name in ("max_completion_tokens", "max_tokens"))
    return next((limit for limit in limits if type(limit) is int and limit >= 1), None)


def _delta(token: str) -> Delta:
    choice = {"index": 0, "delta": {"content": token}, "finish_reason": None, "logprobs": None}
    return Delta([choice], token, len(token.encode()))


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
