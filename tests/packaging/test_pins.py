"""pyproject.toml declares the dependencies; the pinned lists are generated from it and may not fall behind."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT

REQUIREMENTS = ROOT / "function" / "requirements.txt"


def check(checkout: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, checkout / "tools" / "generate_requirements.py", "--check"]
    return subprocess.run(command, capture_output=True, text=True)


def pinned(path: Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", path.read_text(encoding="utf-8")))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the pins are made from, and of the pins."""
    for path in ("pyproject.toml", "constraints.txt", "function/requirements.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    return tmp_path


def test_pins_are_what_pyproject_and_the_installed_packages_say() -> None:
    done = check(ROOT)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", ["constraints.txt", "function/requirements.txt"])
def test_a_stale_list_is_found(path: str, checkout: Path) -> None:
    text = (checkout / path).read_text()
    (checkout / path).write_text(re.sub(r"(?m)^werkzeug==.*\n", "", text))

    done = check(checkout)

    assert (done.returncode, path in done.stderr) == (1, True)


def test_a_pin_that_was_changed_in_pyproject_alone_is_found(checkout: Path) -> None:
    text = (checkout / "pyproject.toml").read_text()
    (checkout / "pyproject.toml").write_text(text.replace("flask==3", "flask==4"))

    done = check(checkout)

    assert done.returncode == 1
    assert "flask==4" in done.stderr


def test_a_pin_without_its_hashes_is_found(checkout: Path) -> None:
    path = checkout / "function" / "requirements.txt"
    path.write_text(re.sub(r"(?m)^(flask==\S+)( \\\n +--hash=\S+)+", r"\1", path.read_text()))

    done = check(checkout)

    assert (done.returncode, "function/requirements.txt is stale" in done.stderr) == (1, True)


def test_every_file_that_the_function_installs_has_its_hash() -> None:
    # One pin without is enough for pip to refuse the whole list; and one file alone would be a machine's own.
    pins = re.findall(r"(?m)^[a-z0-9-]+==.*\n(?: .*\n)*", REQUIREMENTS.read_text(encoding="utf-8"))
    counts = {pin.split()[0]: len(re.findall(r"--hash=sha256:[0-9a-f]{64}(?:\s|$)", pin)) for pin in pins}

    assert len(counts) == len(pinned(REQUIREMENTS))
    assert min(counts.values()) >= 1, counts
    assert counts[f"orjson=={pinned(REQUIREMENTS)['orjson']}"] > 20


def test_the_function_pins_what_pyproject_declares_for_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = dict(pin.split("==") for pin in project["optional-dependencies"]["service"])

    assert declared.items() <= pinned(REQUIREMENTS).items()


def test_both_lists_agree() -> None:
    assert pinned(REQUIREMENTS).items() <= pinned(ROOT / "constraints.txt").items()


def test_requirements_name_the_framework_and_no_registry() -> None:
    text = REQUIREMENTS.read_text(encoding="utf-8")

    assert re.search(r"(?m)^functions-framework==", text)
    assert not re.search(r"://|--index|--find|@", text)
