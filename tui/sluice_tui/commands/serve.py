"""`sluice serve`: the function in the foreground, for other programs on this machine or network."""

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sluice_tui.plain.exit_codes import ExitCode

if TYPE_CHECKING:
    from sluice_tui.errors import ClientError

DEFAULT_PORT = 8080
BACKLOG = 2048
"""gunicorn's own."""

_FIRST_PASSED_DESCRIPTOR = 3

_DESCRIPTION = """\
Run the function until Ctrl+C. Its settings are environment variables, as docs and .env.example list them. With neither
API_KEYS nor API_KEYS_FILE set, a key is made for this run and told on standard error.
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Its options."""
    parser = commands.add_parser(
        "serve",
        help="run the function on this machine",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 for the whole network")
    parser.add_argument("--port", type=_port, metavar="N", help=f"0 for a free one; PORT, else {DEFAULT_PORT}, by default")
    parser.add_argument("--agents", metavar="FILE", help="the agents to offer (AGENTS_FILE)")


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Serve in the place of this process. It returns only where it cannot."""
    from sluice_tui.errors import ClientError
    from sluice_tui.local_function import FRAMEWORK_SWITCHES, installed_source
    from sluice_tui.paths import given_path

    try:
        source = installed_source()
        listener = _listening(options.host, _wanted_port(options, environment))
    except ClientError as error:
        report = error.report
        print(f"sluice: {report.what} {report.why} {report.action}", file=sys.stderr)
        return ExitCode.NO_CONNECTION
    with listener:
        host, port = listener.getsockname()[:2]
        passed = {name: value for name, value in environment.items() if name not in FRAMEWORK_SWITCHES} | {"PORT": str(port)}
        if options.agents:
            passed["AGENTS_FILE"] = str(given_path(options.agents))
        _tell(_address(host, port), _with_key(passed))
        return _become(source, listener, passed)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _wanted_port(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    if options.port is not None:
        return int(options.port)
    named = environment.get("PORT", "")
    return int(named) if named.isascii() and named.isdigit() and int(named) < 1 << 16 else DEFAULT_PORT


def _listening(host: str, port: int) -> socket.socket:
    """The socket, so that nothing has to start to find the port taken. Raises ClientError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as problem:
        raise _not_free(host, port, problem) from None


def _not_free(host: str, port: int, problem: OSError) -> "ClientError":
    from sluice_tui.errors import client_error

    # A name that leads nowhere has a negative number, which is not the system's.
    reason = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror
    return client_error("port_taken", place=_address(host, port), problem=reason)


def _address(host: str, port: int) -> str:
    return f"http://{_in_address(host)}:{port}"


def _in_address(host: str) -> str:
    """An address of IPv6 stands in brackets before a port (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _with_key(passed: dict[str, str]) -> str:
    """The key that was made for this run, "" where there are keys already; `passed` gets its hash."""
    if passed.get("API_KEYS") or passed.get("API_KEYS_FILE"):
        return ""
    from sluice_tui.keys import mint

    minted = mint("local")
    passed["API_KEYS"] = f"[{minted.entry}]"
    return minted.key


def _tell(address: str, key: str) -> None:
    told = f"Sluice listens on {address}; Ctrl+C ends it.\n"
    if key:
        told += f"A key for this run, since API_KEYS is not set:\n\n    export SLUICE_URL={address} SLUICE_API_KEY={key}\n\n"
    else:
        told += "It takes the keys of API_KEYS, or of the file that API_KEYS_FILE names.\n"
    sys.stderr.write(told)
    sys.stderr.flush()


def _become(source: Path, listener: socket.socket, passed: Mapping[str, str]) -> int:
    """The server in the place of this process, with the socket handed over as systemd does (sd_listen_fds(3))."""
    host, port = listener.getsockname()[:2]
    if listener.fileno() != _FIRST_PASSED_DESCRIPTOR:
        os.dup2(listener.fileno(), _FIRST_PASSED_DESCRIPTOR)
    os.set_inheritable(_FIRST_PASSED_DESCRIPTOR, True)
    command = [sys.executable, "-m", "functions_framework", "--target", "chat", "--source", str(source)]
    command += ["--signature-type", "http", "--host", _in_address(host), "--port", str(port)]
    os.execve(command[0], command, {**passed, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})  # noqa: S606 -- our own
