"""Where the function listens is told in one line, and so is that it cannot."""

import os
import socket
import subprocess
import sys

from tests.support.running_function import FUNCTION, running_function


def test_address_is_told_when_it_listens() -> None:
    with running_function() as function:
        assert f"listens at {function.url}." in function.log()


def test_port_that_is_taken_is_told_in_one_line() -> None:
    command = [sys.executable, "-m", "functions_framework", "--source", str(FUNCTION / "main.py"), "--target", "chat"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = {**os.environ, "PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "ERROR"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith(f"Sluice cannot listen at 127.0.0.1:{port}: Address already in use. Set PORT")
