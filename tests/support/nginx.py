"""A real nginx with the example of deploy/, on a free loopback port, in front of a function."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.running_function import free_port
from tests.support.waiting import until

PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"

# Started by root its workers would be another user's, who may not write into the folder.
USER = "" if os.geteuid() else "user root;"

AROUND = """\
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/sluice.conf;
}}
"""


@contextmanager
def nginx(folder: Path, function_port: int, example: str) -> Iterator[int]:
    """Start it with a text of the example's kind, and tell its port; its logs are in the folder."""
    assert PROGRAM is not None
    port = free_port()
    placed = {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "http://127.0.0.1:8080;": f"http://127.0.0.1:{function_port};",
        "/var/log/nginx/sluice.log": f"{folder}/access.log",
    }
    for theirs, ours in placed.items():
        assert theirs in example
        example = example.replace(theirs, ours)
    (folder / "sluice.conf").write_text(example, encoding="utf-8")
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=USER), encoding="utf-8")
    process = subprocess.Popen([PROGRAM, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or _listens(port), "nginx listens")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
