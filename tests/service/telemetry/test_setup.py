import json
import logging
import os
import subprocess
import sys
import threading

import functions_framework
import gunicorn.config  # type: ignore[import-untyped]  # gunicorn ships no types
import pytest

from sluice_service.telemetry import setup
from sluice_service.telemetry.entries import write
from sluice_service.telemetry.server_log import ServerLogger
from tests.service.telemetry.logged import Logged, logged

# What each process of the function does first; it reports what it loaded and whom it tried to reach.
PROGRAM = """
import sys
reached = []
sys.addaudithook(lambda event, args: reached.append(event) if event.startswith("socket.") else None)
from sluice_service.telemetry import setup, entries
setup.configure(level="INFO", project={project!r}, on_cloud_run={cloud!r}, secrets=[])
entries.write("request_received", "hello")
assert "google.cloud.logging_v2" not in sys.modules
assert not {{"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}} & set(reached)
"""


def run(*, cloud: bool, project: str | None) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(cloud=cloud, project=project)
    environment = {**os.environ, "K_SERVICE": "sluice"} if cloud else dict(os.environ)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=30, check=True
    )


@pytest.mark.parametrize("project", ["a-project", None])
def test_cloud_run_gets_json_on_standard_output_without_any_network_call(project: str | None) -> None:
    done = run(cloud=True, project=project)
    assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == ["hello"]
    assert done.stderr == ""


def test_elsewhere_a_line_goes_to_standard_error() -> None:
    done = run(cloud=False, project=None)
    assert " INFO request_received hello\n" in done.stderr
    assert done.stdout == ""


def test_setting_up_again_replaces_what_was_set_up(readable: Logged) -> None:
    with logged(cloud=True) as again:
        setup.configure(level="INFO", project=None, on_cloud_run=True, secrets=(), stream=again.stream)  # type: ignore[arg-type]
        write("request_received", "hello")
    assert len(again.lines) == 1
    assert readable.text == ""


def test_handlers_of_the_framework_are_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    with logged(cloud=True) as caught:
        functions_framework.setup_logging()  # type: ignore[no-untyped-call]
        setup.configure(level="INFO", project=None, on_cloud_run=True, secrets=(), stream=caught.stream)  # type: ignore[arg-type]
        write("request_received", "hello")
        handlers = len(logging.getLogger().handlers)
    assert handlers == 1
    assert len(caught.lines) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [*setup.LIBRARIES, "some.library"])
def test_libraries_are_heard_from_warning_on_whatever_level_they_set(name: str) -> None:
    with logged(cloud=False, level="DEBUG") as caught:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.debug("Request options: headers")
        logger.info("HTTP Request: POST")
        logger.warning("retrying")
        logger.setLevel(logging.NOTSET)
    assert [line.split()[1] for line in caught.lines] == ["WARNING"]


def test_level_of_the_service_is_that_of_the_libraries_when_it_is_higher() -> None:
    with logged(cloud=False, level="ERROR") as caught:
        write("request_received", "hello", severity=logging.WARNING)
        logging.getLogger("gunicorn.error").warning("hello")
        logging.getLogger("some.library").warning("hello")
    assert caught.text == ""


@pytest.mark.parametrize("event", ["response_complete", "error_occurred", "save_failed"])
def test_what_metrics_are_made_from_is_written_whatever_the_level(event: str) -> None:
    with logged(cloud=True, level="ERROR") as caught:
        write(event, "hello")
    assert caught.document["event"] == event


def test_gunicorns_own_lines_come_once_and_in_our_form(readable: Logged, capfd: pytest.CaptureFixture[str]) -> None:
    server_log = ServerLogger(gunicorn.config.Config())
    server_log.info("Booting worker")
    server_log.error("Worker failed to boot: token=abc")
    assert [line.split()[1:3] for line in readable.lines] == [["ERROR", "gunicorn.error"]]
    assert "abc" not in readable.text
    assert capfd.readouterr() == ("", "")


def fail_in_a_thread(error: BaseException) -> None:
    def target() -> None:
        raise error

    thread = threading.Thread(target=target, name="a-pump")
    thread.start()
    thread.join()


def test_exception_that_ends_a_thread_becomes_an_entry(cloud: Logged, capfd: pytest.CaptureFixture[str]) -> None:
    fail_in_a_thread(LookupError("Bearer abc\n"))
    document = cloud.document
    assert (document["event"], document["severity"]) == ("error_occurred", "ERROR")
    assert (document["thread"], document["error_type"]) == ("a-pump", "LookupError")
    assert "LookupError: Bearer [redacted]" in document["stack_trace"]
    assert capfd.readouterr() == ("", "")


def test_exit_of_a_thread_is_no_error(cloud: Logged) -> None:
    fail_in_a_thread(SystemExit(1))
    assert cloud.text == ""


def test_hook_that_somebody_else_set_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with logged(cloud=False) as caught:
        monkeypatch.setattr(threading, "excepthook", lambda failure: told.append(failure.exc_type.__name__))
        setup.configure(level="INFO", project=None, on_cloud_run=False, secrets=(), stream=caught.stream)  # type: ignore[arg-type]
        fail_in_a_thread(LookupError())
    assert told == ["LookupError"]
    assert "error_occurred" in caught.text
