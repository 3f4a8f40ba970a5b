"""`sluice doctor`: what it finds over real sockets, and what it says to do."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sluice_tui.doctor.check import Status
from sluice_tui.doctor.network import way_to
from sluice_tui.doctor.service import clock
from sluice_tui.doctor.streaming import Pace, judged
from sluice_wire.errors import SluiceError
from sluice_wire.version import __version__
from tests.tui.command import sluice
from tests.tui.fake_openai import DONE, FakeOpenAI, Reply, chunk, content, whole

HEALTHY = {"status": "healthy", "version": __version__, "features": {"streaming": True}}
WORDS = [f"word {number} " for number in range(20)]


@pytest.fixture
def service(server: FakeOpenAI) -> FakeOpenAI:
    """A server that has everything Sluice has."""
    server.models = [{"id": "demo", "owned_by": "sluice"}]
    now = format_datetime(datetime.now(UTC))
    server.replies["/health"] = Reply(200, HEALTHY, headers={"via": "1.1 google", "date": now})
    server.stream_id, server.script, server.resumptions = "s1", whole(*WORDS), [[DONE]]
    return server


def examined(server: FakeOpenAI, *more: str) -> tuple[int, Mapping[str, Mapping[str, Any]]]:
    """The exit code, and each check by its name."""
    ended = sluice("doctor", "--json", "--url", server.url, *more, SLUICE_API_KEY="sk-secret-1234")
    told = json.loads(ended.stdout)
    assert "sk-secret" not in ended.stdout + ended.stderr
    assert told["ok"] is (ended.returncode == 0)
    return ended.returncode, {check["name"]: check for check in told["checks"]}


def test_where_all_is_well_everything_says_so(service: FakeOpenAI) -> None:
    code, checks = examined(service)

    assert code == 0
    # An answer without pauses is too quick to judge, but for a machine that makes some.
    assert {name for name, check in checks.items() if check["status"] == "ok"} >= set(checks) - {"streaming"}
    assert checks["streaming"]["status"] in ("skip", "ok")
    assert checks.keys() >= {"versions", "settings", "name", "connection", "service", "clock", "key", "streaming", "resume"}
    assert "via: 1.1 google" in checks["service"]["found"]
    assert service.paths[-2:] == ["/streams/s1?starting_after=22", "/streams/s1/cancel"]


def test_for_people_each_check_is_a_line_and_what_to_do_follows_it(service: FakeOpenAI) -> None:
    service.replies["/v1/models"] = Reply(401, SluiceError("invalid_credentials").report("a").to_openai())

    ended = sluice("doctor", "--url", service.url)

    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    failure = next(number for number, line in enumerate(lines) if line.startswith("FAIL  key "))
    assert lines[failure + 1].strip().startswith("To do: ")


def test_another_kind_of_server_is_well_too(server: FakeOpenAI) -> None:
    server.script = whole(*WORDS)

    code, checks = examined(server)

    assert code == 0
    assert checks["resume"]["status"] == "skip"
    assert "asked for again" in checks["resume"]["found"]


def test_an_agent_that_is_not_there_is_found(service: FakeOpenAI) -> None:
    code, checks = examined(service, "--agent", "wrong")

    assert (code, checks["key"]["status"]) == (1, "fail")
    assert "There is no wrong." in checks["key"]["found"]


def test_behind_iam_the_service_is_asked_with_an_identity(
    service: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gcloud").write_text("#!/bin/sh\necho token\n")
    (tmp_path / "gcloud").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    _, checks = examined(service, "--iam")

    assert checks["service"]["found"].startswith("Sluice ")
    health = next(request for request in service.received if request.path == "/health")
    assert health.headers["x-serverless-authorization"] == "Bearer token"
    assert "authorization" not in health.headers


def test_a_server_that_lets_nobody_in_is_not_taken_for_another_kind(service: FakeOpenAI) -> None:
    service.replies["/health"] = Reply(403, "<html>", "text/html")

    _, checks = examined(service)

    assert (checks["service"]["status"], "HTTP 403" in checks["service"]["found"]) == ("skip", True)


def test_a_health_page_without_end_is_not_read_whole(service: FakeOpenAI) -> None:
    service.replies["/health"] = Reply(200, json.dumps(HEALTHY) + " " * (2 << 20))

    _, checks = examined(service)

    assert checks["service"]["found"].startswith("No Sluice service")


def test_an_environment_that_cannot_be_used_is_a_check_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SSL_CERT_FILE": "/nonexistent", "http_proxy": "nonsense://x", "no_proxy": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)

    trusted, proxied = (sluice("doctor", "--url", url) for url in ("https://127.0.0.1:1", "http://other.test"))

    assert "FAIL  connection  The certificates of trusted authorities cannot be read" in trusted.stdout
    assert "FAIL  service     No connection can be made with this environment." in proxied.stdout
    assert (trusted.returncode, trusted.stderr, proxied.returncode, proxied.stderr) == (1, "", 1, "")


def test_a_stream_that_the_server_forgets_at_once_is_found(service: FakeOpenAI) -> None:
    service.resumptions = [Reply(404, SluiceError("not_found", path="x").report("a").to_openai())]

    code, checks = examined(service)

    assert (code, checks["resume"]["status"]) == (1, "fail")


def test_a_server_that_sends_all_of_it_in_one_piece_is_found(service: FakeOpenAI) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "all"}, "finish_reason": "stop"}
    service.scripts = [Reply(200, {"choices": [choice]})]

    code, checks = examined(service)

    assert (code, checks["streaming"]["status"]) == (1, "fail")


def test_a_proxy_that_holds_the_text_back_is_found() -> None:
    """One that takes a second for the answer and then passes it on at once."""
    answer = b"".join([*map(content, WORDS), chunk(finish_reason="stop"), DONE])

    class Buffering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(json.dumps({"data": [{"id": "a"}]}).encode(), "application/json")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            threading.Event().wait(0.4)
            self._send(answer, "text/event-stream")

        def _send(self, body: bytes, content_type: str) -> None:
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Buffering) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        ended = sluice("doctor", "--url", f"http://127.0.0.1:{proxy.server_port}")
        proxy.shutdown()

    assert ended.returncode == 1
    assert "FAIL  streaming" in ended.stdout
    assert "proxy_buffering off" in ended.stdout


def test_where_nobody_answers_the_rest_is_not_tried(server: FakeOpenAI) -> None:
    server.close()

    code, checks = examined(server)

    assert (code, checks["connection"]["status"], "key" in checks) == (1, "fail", False)


def test_a_name_that_leads_nowhere_is_found() -> None:
    ended = sluice("doctor", "--url", "http://nowhere.invalid")

    assert ended.returncode == 1
    assert "FAIL  name" in ended.stdout


def test_no_certificate_where_one_is_expected_is_found(server: FakeOpenAI) -> None:
    ended = sluice("doctor", "--url", server.url.replace("http:", "https:"))

    assert ended.returncode == 1
    assert "No trusted connection" in ended.stdout


# -- judgements


def paced(*counts: int, gap: float, first: float = 1.0) -> Pace:
    return Pace(0.0, [(first + gap * number, count) for number, count in enumerate(counts)])


@pytest.mark.parametrize(
    ("pace", "status"),
    [
        (paced(*[1] * 40, gap=0.02), Status.OK),
        (paced(*[4] * 10, gap=0.002), Status.OK),
        (paced(40, gap=0), Status.FAIL),
        (paced(20, 20, gap=1), Status.WARN),
        (paced(40, gap=0, first=0.1), Status.SKIP),
        (paced(1, 1, 1, gap=1), Status.SKIP),
        (paced(gap=1), Status.SKIP),
    ],
)
def test_how_text_came_shows_whether_something_holds_it_back(pace: Pace, status: Status) -> None:
    assert judged(pace).status is status


@pytest.mark.parametrize(
    ("seconds", "status", "told"),
    [
        (0, Status.OK, "agrees"), (4, Status.OK, "agrees"), (-30, Status.WARN, "30 s behind"),
        (30, Status.WARN, "30 s ahead of"), (-3600, Status.FAIL, "3600 s behind"),
    ],
)  # fmt: skip
def test_a_clock_is_judged_by_the_servers(seconds: int, status: Status, told: str) -> None:
    theirs = datetime(2026, 1, 1, tzinfo=UTC)

    check = clock(format_datetime(theirs), (theirs + timedelta(seconds=seconds)).timestamp())

    assert (check.status, told in check.found) == (status, True)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_server_without_a_clock_is_let_pass(date: str | None) -> None:
    assert clock(date, 0).status is Status.SKIP


# -- TLS, with an authority of our own


@contextmanager
def speaking_tls(folder: Path, days: int) -> Iterator[tuple[str, Path]]:
    """An address that greets with a certificate which is good for so many days more, and the file of whom to trust."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(days))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"https://localhost:{server.server_port}/v1", pem
        server.shutdown()


@pytest.mark.parametrize(("days", "status"), [(90, Status.OK), (3, Status.WARN)])
async def test_a_certificate_is_read_and_its_end_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, status: Status
) -> None:
    with speaking_tls(tmp_path, days) as (url, trusted):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        _, connection = [check async for check in way_to(url)]

    assert connection.status is status
    assert f"good for {days} days" in connection.found


async def test_a_certificate_that_nobody_trusts_is_found(tmp_path: Path) -> None:
    with speaking_tls(tmp_path, 90) as (url, _):
        checks = [check async for check in way_to(url)]

    assert checks[-1].status is Status.FAIL
    assert "CERTIFICATE_VERIFY_FAILED" in checks[-1].found


async def test_where_a_proxy_connects_it_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.test:3128")

    checks = [check async for check in way_to("https://service.test/v1")]

    assert [(check.status, check.found) for check in checks] == [
        (Status.SKIP, "A proxy makes the connection: http://proxy.test:3128.")
    ]
