"""The clients of others that tests run: each pinned exactly, with all that it brings, from no registry in particular."""

import json
import re

import pytest

from tests.support.clients import CLIENTS

LOCK = json.loads((CLIENTS / "package-lock.json").read_text(encoding="utf-8"))["packages"]
DECLARED = json.loads((CLIENTS / "package.json").read_text(encoding="utf-8"))["dependencies"]
REQUIREMENTS = (CLIENTS / "requirements.txt").read_text(encoding="utf-8")
CONSTRAINTS = (CLIENTS / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DECLARED)
def test_node_client_has_one_version_and_the_lock_file_agrees(name: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", DECLARED[name])
    assert LOCK[f"node_modules/{name}"]["version"] == DECLARED[name]


def test_lock_file_knows_each_package_by_its_content_and_names_no_registry() -> None:
    packages = [package for path, package in LOCK.items() if path]

    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)


def test_python_clients_have_one_version_and_the_constraints_agree() -> None:
    declared = re.findall(r"(?m)^([^#\s]+)", REQUIREMENTS)

    assert declared
    assert all("==" in pin for pin in declared)
    assert set(declared) <= set(CONSTRAINTS.splitlines())


def test_every_constraint_is_one_version_from_no_registry_in_particular() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9a-z.]+", pin) for pin in CONSTRAINTS.splitlines()[1:])
