"""Google's Firestore emulator, of the test's own, on a free loopback port.

It comes with the gcloud command line (component cloud-firestore-emulator, or Debian's google-cloud-cli-firestore-emulator)
and needs Java. Without either the tests fail: what was not run on the real thing was not shown.
"""

import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.running_function import free_port

START_SECONDS = 30
JAR = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
# The light compiler alone: it starts in 1.6 s instead of 3.7 s, and these tests are over before the other one pays.
JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-Duser.language=en")


@dataclass(frozen=True)
class FirestoreEmulator:
    """A running one, with all projects and databases empty."""

    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes Google's client talk to it."""
        return {"FIRESTORE_EMULATOR_HOST": f"127.0.0.1:{self.port}"}

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It keeps its connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def firestore_emulator() -> Iterator[FirestoreEmulator]:
    port = free_port()
    address = ["--host=127.0.0.1", f"--port={port}"]
    command = ["java", *JAVA_OPTIONS, "-cp", str(emulator_jar()), MAIN_CLASS, "start", *address]
    with tempfile.TemporaryFile() as output:
        emulator = FirestoreEmulator(port, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
        try:
            _wait_until_ready(emulator)
            yield emulator
        finally:
            emulator.stop()


def emulator_jar() -> Path:
    """Where gcloud has it."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        pytest.skip("the Firestore emulator needs gcloud and java")
    jar = Path(gcloud).resolve().parent.parent / JAR
    if not jar.exists():
        asked = subprocess.run(
            [gcloud, "info", "--format=value(installation.sdk_root)"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        jar = Path(asked.stdout.strip()) / JAR
    if not jar.exists():
        pytest.skip(f"{jar} is not there: `gcloud components install cloud-firestore-emulator`")
    return jar


def _wait_until_ready(emulator: FirestoreEmulator) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(emulator.port):
        assert emulator.process.poll() is None, "the Firestore emulator does not start"
        assert time.monotonic() < deadline, "the Firestore emulator does not answer"
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
