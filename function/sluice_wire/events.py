"""Typed stream events: what a model says, whoever's wire it came over.

A provider yields them, the engine counts and bounds them, a dialect turns each into bytes once, and the terminal reads
the same types back. A model call that went well is any number of `Delta`s, one or more `Finish`es, and `Usage`s, the last
of which counts (vLLM and Gemini send a running one with every chunk).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

Choice: TypeAlias = dict[str, Any]
"""One element of `choices` in OpenAI's `chat.completion.chunk`, as it was sent: `index`, `delta`, `finish_reason`, …"""


@dataclass(slots=True)
class Delta:
    """Some more of the answer. Not frozen: one is made for every chunk, and a frozen one costs three times as much.

    `choices` hold what the model sent (never a role, never a finish reason); `text` is the content of choice 0 in them,
    "" for tool calls and reasoning; `size_bytes` is what upstream spent on it, for the bound on a stream.
    """

    choices: list[Choice]
    text: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The model's own end of one choice or more: empty deltas with a `finish_reason` each."""

    choices: list[Choice]

    @property
    def reasons(self) -> list[str]:
        """The finish reasons, in the order of the choices."""
        return [choice["finish_reason"] for choice in self.choices]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as upstream states them (`prompt_tokens`, `completion_tokens`, `total_tokens`, details)."""

    usage: dict[str, Any]


Event: TypeAlias = Delta | Finish | Usage
