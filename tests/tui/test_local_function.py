"""The function on this machine: started, answering, and ended with its terminal, whatever ends that."""

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from sluice_tui.connection import Connection
from sluice_tui.errors import ClientError
from sluice_tui.local_function import LocalFunction, installed_source
from tests.tui.conftest import FAKE_FUNCTION
from tests.tui.processes import MARK, alive_with, wait_until

TERMINAL = f"""
import asyncio, os
from pathlib import Path
from sluice_tui.local_function import LocalFunction

async def main():
    function = LocalFunction(os.environ, lambda: Path({str(FAKE_FUNCTION)!r}))
    print((await function.start()).url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def marked(mark: str) -> dict[str, str]:
    return {**os.environ, MARK: mark}


def function_at(source: Path, environment: dict[str, str], start_seconds: float = 20) -> LocalFunction:
    return LocalFunction(environment, lambda: source, start_seconds)


async def test_it_answers_on_loopback_to_its_key_and_leaves_nothing(mark: str, marked: dict[str, str]) -> None:
    function = function_at(FAKE_FUNCTION, marked)

    endpoint = await function.start()
    async with httpx.AsyncClient() as client:
        models = await client.get(f"{endpoint.url}/models")
    running = alive_with(mark)
    function.stop()

    assert endpoint.url.startswith("http://127.0.0.1:")
    assert models.json()["data"][0]["id"] == "echo"
    assert len(running) == 2
    assert alive_with(mark) == []


async def test_its_key_is_on_no_command_line_and_in_no_environment(mark: str, marked: dict[str, str]) -> None:
    function = function_at(FAKE_FUNCTION, marked)
    endpoint = await function.start()
    shown = [
        (Path("/proc") / str(process) / name).read_bytes() for process in alive_with(mark) for name in ("cmdline", "environ")
    ]
    function.stop()

    assert endpoint.api_key
    assert not any(endpoint.api_key.encode() in text for text in shown)
    assert endpoint.api_key not in repr(endpoint)


async def test_switches_of_the_framework_in_the_environment_change_nothing(marked: dict[str, str]) -> None:
    function = function_at(FAKE_FUNCTION, {**marked, "DEBUG": "1", "FUNCTION_USE_ASGI": "1", "HOST": "0.0.0.0", "PORT": "1"})

    endpoint = await function.start()
    function.stop()

    assert not endpoint.url.endswith(":1/v1")


async def test_stopping_twice_or_before_the_start_is_nothing(marked: dict[str, str]) -> None:
    function = function_at(FAKE_FUNCTION, marked)
    function.stop()
    await function.start()
    function.stop()
    function.stop()

    assert not function.running


async def test_one_that_cannot_start_says_its_last_words(mark: str, marked: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "entry.py"
    source.write_text("import os\nraise SystemExit('AGENTS_FILE is missing \\x1b[31m' + os.environ['API_KEYS'])\n")

    with pytest.raises(ClientError) as caught:
        await function_at(source, marked).start()

    assert caught.value.report.code == "function_failed"
    assert "AGENTS_FILE is missing ␛[31m" in caught.value.report.why
    assert alive_with(mark) == []


async def test_one_that_never_gets_ready_and_ignores_the_request_to_end_is_ended(
    mark: str, marked: dict[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "entry.py"
    source.write_text(
        "import signal, threading\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('thinking', flush=True)\nthreading.Event().wait()\n"
    )

    with pytest.raises(ClientError) as caught:
        await function_at(source, marked, start_seconds=5).start()

    assert caught.value.report.code == "function_timeout"
    assert "thinking" in caught.value.report.why
    assert alive_with(mark) == []


async def test_one_that_died_is_started_again_when_it_is_needed(mark: str, marked: dict[str, str]) -> None:
    async with Connection(function_at(FAKE_FUNCTION, marked)) as connection:
        await connection.line()
        for process in alive_with(mark):
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: not alive_with(mark), "the function's death")

        line = await connection.line()

        assert [agent.id for agent in await line.api.models()] == ["echo"]


def test_the_installed_function_is_found_without_importing_it() -> None:
    assert installed_source().name == "entry.py"
    assert installed_source().parent.name == "sluice_service"
    code = "import sys, sluice_tui.local_function as f; f.installed_source(); assert 'sluice_service' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- the end of the terminal


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_no_process_outlives_the_terminal(mark: str, marked: dict[str, str], number: signal.Signals) -> None:
    """To the terminal's whole process group, as Ctrl+C and a closed window send it: the function is in one of its own."""
    terminal = subprocess.Popen(
        [sys.executable, "-c", TERMINAL],
        env=marked,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with terminal:
        assert terminal.stdout
        assert terminal.stdout.readline().startswith(b"http://127.0.0.1:")
        assert len(alive_with(mark)) == 3

        os.killpg(terminal.pid, number)

        wait_until(lambda: not alive_with(mark), "the end of every process", seconds=8)
