"""A Dockerfile as its builder reads it: instructions, in stages."""

import json
import re
from pathlib import Path
from typing import TypeAlias

Instruction: TypeAlias = tuple[str, str]
"""Its name in capitals, and the rest of its line."""


def stages(path: Path) -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first. Lines that go on are joined, comments are left out."""
    text = re.sub(r"(?m)^\s*#.*\n", "", path.read_text(encoding="utf-8"))
    lines = re.sub(r"\\\n", "", text).splitlines()
    found: list[list[Instruction]] = []
    for name, _, rest in (line.partition(" ") for line in lines if line.strip()):
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest.strip()))
    return found


def only(stage: list[Instruction], name: str) -> str:
    """What the one instruction of that name says."""
    (rest,) = [rest for found, rest in stage if found == name]
    return rest


def command(words: str) -> list[str]:
    """A command in exec form. Raises ValueError for one that a shell would run."""
    parsed = json.loads(words)
    return [str(word) for word in parsed]


def variables(stage: list[Instruction]) -> dict[str, str]:
    """What ENV sets."""
    return dict(re.findall(r"(\w+)=(\S+)", only(stage, "ENV")))
