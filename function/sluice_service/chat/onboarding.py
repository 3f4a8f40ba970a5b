"""The guided first conversation: an agent's questions, one a turn, and what became of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sluice_service.chat.agents import Agent
from sluice_service.stores.base import Progress


def is_done(agent: Agent, progress: Progress) -> bool:
    """Whether every question has its answer; true of an agent that asks none."""
    return progress.step >= len(agent.onboarding)


def standing(agent: Agent, progress: Progress) -> dict[str, Any]:
    """`{"step", "total", "done"}`: how many questions are answered, of how many."""
    return {"step": progress.step, "total": len(agent.onboarding), "done": is_done(agent, progress)}


def question(agent: Agent, progress: Progress) -> str | None:
    """The question that the user's next message answers; None when all are answered."""
    return None if is_done(agent, progress) else agent.onboarding[progress.step].question


def answered(agent: Agent, progress: Progress, answer: str) -> Progress:
    """Where the user stands when this turn is complete."""
    key = agent.onboarding[progress.step].key
    return Progress(agent.id, progress.step + 1, {**progress.answers, key: answer})


def prompt(agent: Agent, progress: Progress) -> Sequence[Mapping[str, str]]:
    """What the model is told of it, as system messages put before the caller's."""
    if not agent.onboarding:
        return ()
    known = json.dumps(dict(progress.answers), ensure_ascii=False)
    if is_done(agent, progress):
        return (_system(f"What the user said of themselves at the beginning, as JSON: {known}"),)
    step, total = progress.step, len(agent.onboarding)
    lines = [
        f"You are guiding the user through {total} questions. The user's message answers question {step + 1}: "
        f"{agent.onboarding[step].question}",
        f"Answers so far, as JSON: {known}",
    ]
    if step + 1 < total:
        lines.append(f"Acknowledge the answer briefly, then ask the next question: {agent.onboarding[step + 1].question}")
    else:
        lines.append("It was the last question: sum up what you learnt and say that you can begin.")
    return (_system("\n".join(lines)),)


def _system(content: str) -> dict[str, str]:
    return {"role": "system", "content": content}
