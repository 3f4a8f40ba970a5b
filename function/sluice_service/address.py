"""What gunicorn tells of its address: nothing where it listens, and ten lines in five seconds where it cannot."""

import os
import socket
import sys
from typing import Any

from gunicorn import systemd  # type: ignore[import-untyped]  # gunicorn ships no types

from sluice_service.telemetry import entries


def require_free(arbiter: Any) -> None:
    """gunicorn's on_starting: end with one line where the address cannot be had. A socket passed in is there already."""
    if systemd.listen_fds(unset_environment=False):
        return
    for host, port in arbiter.cfg.address:
        problem = _problem(host, port)
        if problem:
            sys.exit(f"Sluice cannot listen at {host}:{port}: {problem}. Set PORT to another port, or end what uses it.")


def say_where(arbiter: Any) -> None:
    """gunicorn's when_ready."""
    listening = ", ".join(str(listener) for listener in arbiter.LISTENERS)
    entries.write("listening", f"The function listens at {listening}.")


def _problem(host: str, port: int) -> str | None:
    """Why an address cannot be had; it is given back at once."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return os.strerror(error.errno or 0)
    return None
