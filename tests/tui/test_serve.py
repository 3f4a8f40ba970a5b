"""`sluice serve`: where it listens, with which key, and what it says when it cannot."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from sluice_tui.keys import mint
from tests.tui.command import SECONDS, environment, sluice
from tests.tui.processes import SLUICE

pytestmark = pytest.mark.timeout(120)


@contextmanager
def serving(*arguments: str, **more: str) -> "Iterator[tuple[subprocess.Popen[str], str, str]]":
    """The process, its address, and the line after the one that tells it."""
    unset = {"API_KEYS": "", "API_KEYS_FILE": "", "PORT": "1", "DEBUG": "1"}
    command = [*SLUICE, "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, env=environment(**{**unset, **more}), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        address = re.search(r"listens on (http://\S+);", process.stderr.readline())
        assert address
        told = process.stderr.readline()
        try:
            yield process, address[1], told
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)


def exported(process: "subprocess.Popen[str]") -> dict[str, str]:
    """The variables that it says to set."""
    assert process.stderr
    assert process.stderr.readline() == "\n"
    return dict(pair.split("=") for pair in process.stderr.readline().split()[1:])


def test_it_says_where_it_listens_and_the_key_that_it_made_for_this_run() -> None:
    with serving() as (process, address, _):
        variables = exported(process)
        answer = sluice("ask", "In short: hi", **variables)
        refused = httpx.get(f"{address}/v1/models", headers={"authorization": "Bearer wrong"})
        shown = b"".join((Path("/proc") / str(process.pid) / name).read_bytes() for name in ("cmdline", "environ"))
        process.send_signal(signal.SIGINT)

        assert variables["SLUICE_URL"] == address
        assert (answer.returncode, refused.status_code) == (0, 401)
        assert answer.stdout.startswith("You asked")
        assert variables["SLUICE_API_KEY"].encode() not in shown
        assert process.wait(SECONDS) == 0


def test_an_address_of_ipv6_is_listened_on_too_where_there_is_one() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        assert sluice("serve", "--host", "::1", "--port", "0").returncode == 3
        return

    with serving("--host", "::1") as (process, address, _):
        assert address.startswith("http://[::1]:")
        answer = sluice("ask", "In short: hi", **exported(process))

    assert answer.returncode == 0


def test_it_takes_the_keys_that_are_set_and_tells_none(tmp_path: Path) -> None:
    minted = mint("alice")
    agents = tmp_path / "agents.toml"
    agents.write_text("")
    with serving("--agents", str(agents), API_KEYS=f"[{minted.entry}]") as (_, address, told):
        models = httpx.get(f"{address}/v1/models", headers={"authorization": f"Bearer {minted.key}"}, timeout=SECONDS)

    assert "It takes the keys of API_KEYS" in told
    assert [model["id"] for model in models.json()["data"]] == ["demo"]


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = sluice("serve", "--port", str(port))

    assert (ended.returncode, ended.stderr.count("\n")) == (3, 1)
    assert f"cannot listen on http://127.0.0.1:{port}. Address already in use." in ended.stderr
    assert "--port" in ended.stderr


def test_a_host_that_is_not_ours_is_told_in_one_line() -> None:
    ended = sluice("serve", "--host", "nowhere.invalid", "--port", "0")

    assert (ended.returncode, ended.stderr.count("\n")) == (3, 1)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_refused(port: str) -> None:
    assert sluice("serve", f"--port={port}").returncode == 2
