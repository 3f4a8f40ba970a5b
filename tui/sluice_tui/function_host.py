"""The child process that runs the local function under functions-framework, and ends with the terminal.

It gets its socket from the terminal, already listening, and hands it to gunicorn as systemd would (sd_listen_fds(3)):
no other program can take the port in between. Its standard input is a pipe that only the terminal holds; when that
closes, for whatever reason, this process and its workers end.
"""

import argparse
import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 3.0
_FIRST_PASSED_DESCRIPTOR = 3


def main() -> None:
    """Serve until standard input closes. The arguments come from `local_function`."""
    parser = argparse.ArgumentParser(prog="python -m sluice_tui.function_host")
    parser.add_argument("--source", required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--descriptor", type=int, required=True)
    options = parser.parse_args()
    threading.Thread(target=_end_with_terminal, daemon=True).start()
    _pass_on(options.descriptor)
    sys.argv = ["functions-framework", "--target", "chat", "--source", options.source]
    sys.argv += ["--signature-type", "http", "--host", "127.0.0.1", "--port", options.port]
    runpy.run_module("functions_framework", run_name="__main__")


def _pass_on(descriptor: int) -> None:
    if descriptor != _FIRST_PASSED_DESCRIPTOR:
        os.dup2(descriptor, _FIRST_PASSED_DESCRIPTOR)
        os.close(descriptor)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = "1"


def _end_with_terminal() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    # gunicorn waits 30 s for answers that nobody reads any more. The group is ours: we lead it.
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
