"""What the README tells people to run, run as they would run it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, blocks
from tests.packaging.servers import answers, free_port
from tests.support.clients import NODE_MODULES, needs_node

README = ROOT / "README.md"
# The set-up has been done already, or these tests would not run.
MAKE = ("make", "-o", ".venv/.ready")

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("readme")]


def block(language: str, holding: str) -> str:
    """The one fenced block of a language that holds a text."""
    found = [text for text in blocks(README, language) if holding in text]
    assert len(found) == 1, f"{len(found)} blocks hold {holding!r}"
    return found[0]


def commands_of(script: str) -> str:
    """A block's commands, made to leave the set-up alone."""
    return re.sub(r"(?m)^make\b", " ".join(MAKE), script)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "OPENAI_", "API_KEYS"))}
    return {**kept, "DEMO_FIRST_TOKEN_MS": "0", "DEMO_TOKENS_PER_SECOND": "5000", **more}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as a newcomer has it: with everything but a .env."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in ("Makefile", "function", "tui", "tools"):
        (folder / path).symlink_to(ROOT / path)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture(scope="module")
def port(checkout: Path) -> Iterator[int]:
    """The port of a function started by the README's command, with the README's key."""
    run(checkout, "bash", "-euc", block("sh", "key new me"))
    free = free_port()
    serve = commands_of(block("sh", "make serve"))
    process = subprocess.Popen(
        ["bash", "-euc", serve], cwd=checkout, env=environment(PORT=str(free)), start_new_session=True
    )
    try:
        assert answers(f"http://127.0.0.1:{free}", process), "`make serve` does not answer"
        yield free
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def on_port(text: str, port: int) -> str:
    assert "127.0.0.1:8080" in text
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{port}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_streams_an_answer(checkout: Path, port: int) -> None:
    told = run(checkout, "bash", "-euc", on_port(block("sh", "curl"), port))

    assert told.startswith("data: {")
    assert told.endswith("data: [DONE]\n\n")


def test_openai_python_streams_an_answer(checkout: Path, port: int) -> None:
    (checkout / "ask.py").write_text(on_port(block("python", "OpenAI"), port), encoding="utf-8")

    told = run(checkout, "bash", "-euc", "set -a; . ./.env; exec .venv/bin/python ask.py")

    assert "sluice" in told


@needs_node
def test_openai_for_node_streams_an_answer(checkout: Path, port: int) -> None:
    if not (checkout / "node_modules").exists():
        (checkout / "node_modules").symlink_to(NODE_MODULES)
    (checkout / "ask.mjs").write_text(on_port(block("js", "OpenAI"), port), encoding="utf-8")

    told = run(checkout, "bash", "-euc", "set -a; . ./.env; exec node ask.mjs")

    assert "sluice" in told


def test_a_question_is_answered_on_one_line_of_the_shell(checkout: Path) -> None:
    told = run(checkout, "bash", "-euc", commands_of(block("sh", "ask ")))

    assert "sluice" in told


def test_both_commands_exist() -> None:
    for line in block("sh", "make test").splitlines():
        command = line.split("#")[0].split()
        assert command[0] == "make"
        done = subprocess.run([*MAKE, "-n", *command[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


PAGE = """
import { EventSource } from "eventsource";
const { sluice, ticket } = process.env;
const output = { set textContent(text) { process.stdout.write(text); }, get textContent() { return ""; } };
"""


@needs_node
def test_page_gets_its_answer_through_an_event_source(checkout: Path, port: int) -> None:
    if not (checkout / "node_modules").exists():
        (checkout / "node_modules").symlink_to(NODE_MODULES)
    (checkout / "page.mjs").write_text(PAGE + block("js", "EventSource"), encoding="utf-8")
    ask_for_ticket = (
        'curl -sS http://127.0.0.1:$port/v1/tickets -H "Authorization: Bearer $SLUICE_API_KEY" -H \'Content-Type: '
        'application/json\' -d \'{"route": "/chat/stream", "message": "What is a sluice?"}\''
    )
    script = f"""
        set -a; . ./.env; port={port} sluice=http://127.0.0.1:{port}
        ticket=$({ask_for_ticket} | sed 's/.*"ticket":"\\([^"]*\\)".*/\\1/')
        exec node page.mjs
    """

    assert "sluice" in run(checkout, "bash", "-euc", script)


def test_every_block_is_one_that_a_test_runs() -> None:
    shell = ["make test", "ask ", "key new me", "make serve", "curl"]

    assert len(blocks(README, "sh")) == len({block("sh", holding) for holding in shell})
    assert len(blocks(README, "python")) == 1
    assert len(blocks(README, "js")) == 2
