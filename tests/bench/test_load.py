"""The benchmark's load generator believes no answer that differs by a byte from what its upstream told."""

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from bench import programs
from bench.programs import Load, Report, Upstream

TOKENS = 40

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")

Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with programs.upstream() as running:
        yield running


def answered(upstream: Upstream, change: Change) -> Report:
    """What the load generator says of one streamed answer whose pieces were changed on the way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        relay = threading.Thread(target=_relay, args=(server, upstream.port, change), daemon=True)
        relay.start()
        report = Load(port=server.getsockname()[1], tokens=TOKENS, rate=500, limit_s=10).report()
        relay.join()
    return report


def _relay(server: socket.socket, upstream_port: int, change: Change) -> None:
    client, _ = server.accept()
    with closing(client), socket.create_connection(("127.0.0.1", upstream_port)) as upstream:
        upstream.sendall(client.recv(65536))
        while data := upstream.recv(65536):
            try:
                client.sendall(change(data))
            except OSError:  # it has seen enough
                return
            if data.endswith(b"0\r\n\r\n"):
                return


def test_unchanged_answer_is_complete(upstream: Upstream) -> None:
    report = answered(upstream, lambda data: data)
    assert (report["complete"], report["failed"], report["tokens"]) == (1, 0, TOKENS)
    assert report["latency_us"]["count"] == TOKENS


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data.replace(b" tide", b" tidE"), id="another letter"),
        pytest.param(lambda data: re.sub(rb"data: (?=.*0000a)", b": ping ", data), id="a token lost"),
        pytest.param(lambda data: data.replace(b'"00005', b'"00004'), id="a token told twice"),
        pytest.param(lambda data: data.replace(b'"stop"', b"null  "), id="no finish reason"),
        pytest.param(lambda data: data.replace(b"data: [DONE]", b": not [DONE]"), id="no [DONE]"),
        pytest.param(lambda data: b"" if b"[DONE]" in data else data, id="the end cut off"),
        pytest.param(lambda data: data.replace(b"200 OK", b"503 No"), id="refused"),
    ],
)
def test_changed_answer_is_not_complete(upstream: Upstream, change: Change) -> None:
    report = answered(upstream, change)
    assert (report["complete"], report["failed"]) == (0, 1)
    assert report["first_failure"]
