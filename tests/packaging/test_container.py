"""The Dockerfile: its rules, and its commands run in their order where no image can be built."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.packaging.dockerfile import command, only, stages, variables
from tests.packaging.environments import ROOT, site_packages
from tests.packaging.servers import answers, free_port

BUILD, FINAL = stages(ROOT / "Dockerfile")
HEALTHCHECK = command(only(FINAL, "HEALTHCHECK").partition("CMD ")[2])


def test_it_runs_as_a_user_who_is_not_root_and_whose_number_is_told() -> None:
    user, _, group = only(FINAL, "USER").partition(":")

    assert (user.isdecimal(), group.isdecimal()) == (True, True)
    assert "0" not in (user, group)


def test_both_stages_begin_with_the_same_base_and_the_last_one_installs_nothing() -> None:
    assert only(BUILD, "FROM") == "${BASE} AS build"
    assert only(FINAL, "FROM") == "${BASE}"
    assert not [rest for name, rest in FINAL if name in ("RUN", "ADD")]
    assert all(rest.startswith("--from=build ") for name, rest in FINAL if name == "COPY")


def test_it_listens_where_it_says() -> None:
    assert only(FINAL, "EXPOSE") == variables(FINAL)["PORT"]


def test_it_installs_the_pinned_packages_alone() -> None:
    installing = [rest for name, rest in BUILD if name == "RUN" and " install " in rest and "pip" in rest]

    assert len(installing) == 1
    assert installing[0].endswith("install --no-cache-dir --disable-pip-version-check -r /requirements.txt")
    assert ("COPY", "function/requirements.txt /") in BUILD


def test_its_base_is_pinned() -> None:
    base = re.search(r"(?m)^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"))

    assert base is not None
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+", base[1])


def test_its_packages_are_as_large_as_the_documents_say(fresh_python: Path) -> None:
    told = re.search(r"adds about (\d+) MB", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))
    megabytes = sum(file.stat().st_size for file in site_packages(fresh_python).rglob("*") if file.is_file()) / 1e6

    assert told is not None
    # Here without bytecode, which is a third of what they take in the image.
    assert 0.6 * int(told[1]) < megabytes < 0.9 * int(told[1])


def test_what_it_copies_is_what_the_builder_is_given() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]

    copied = [rest.split()[0] for name, rest in BUILD if name == "COPY"]
    assert kept == ["function/"]
    assert all(fnmatch(path, f"{kept[0]}*") and (ROOT / path).exists() for path in copied)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple["subprocess.Popen[bytes]", int, Path]]:
    """The process of CMD in a copy of the folder that it is started in, with no home to write to; its port and its log."""
    folder = tmp_path_factory.mktemp("container")
    shutil.copytree(ROOT / "function", folder / "function", ignore=shutil.ignore_patterns("__pycache__"))
    port, log = free_port(), folder / "log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            command(only(FINAL, "CMD")), cwd=folder / "function", env=environment(port), stdout=words, stderr=words
        )
    try:
        assert answers(f"http://127.0.0.1:{port}", process), log.read_text()
        yield process, port, log
    finally:
        process.kill()
        process.wait()


def environment(port: int) -> dict[str, str]:
    """What ENV sets, for this machine; HOME is none, since the image's user has none either."""
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PORT": str(port), "HOME": "/dev/null"}
    return {**variables(FINAL), **here}


def healthy(port: int) -> bool:
    program = [sys.executable, *HEALTHCHECK[1:]]
    return subprocess.run(program, env=environment(port), capture_output=True, timeout=30).returncode == 0


def test_health_check_tells_a_server_that_answers_from_one_that_does_not(
    container: tuple["subprocess.Popen[bytes]", int, Path],
) -> None:
    _, port, _ = container

    assert HEALTHCHECK[0] == "python"
    assert (healthy(port), healthy(free_port())) == (True, False)


def test_sigterm_reaches_the_server_which_ends_by_itself_having_complained_of_nothing(
    container: tuple["subprocess.Popen[bytes]", int, Path],
) -> None:
    process, _, log = container

    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 0
    assert "drained" in log.read_text()
    assert not re.search(r"\b(ERROR|CRITICAL)\b", log.read_text())
