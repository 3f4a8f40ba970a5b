"""Every error code is listed once, has its three parts, and is one that the service can raise."""

import ast
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice_wire import errors

ROOT = Path(__file__).resolve().parent.parent.parent
OPENAI_TYPES = {
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "rate_limit_error",
    "server_error",
}
OWN_TYPES = {"upstream_error", "timeout_error"}


def strings_in(folder: Path) -> set[str]:
    """Every string that code below a folder uses as a value; docstrings are none."""
    return {text for path in folder.rglob("*.py") for text in _values(ast.parse(path.read_text(encoding="utf-8")))}


def _values(tree: ast.Module) -> Iterator[str]:
    nodes = list(ast.walk(tree))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def listed_codes() -> list[str]:
    """The codes as they stand in the source, where a second entry would hide the first one from `ERRORS`."""
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "ErrorKind"]
    return [ast.literal_eval(call.args[0]) for call in calls]


def test_every_code_is_listed_once() -> None:
    assert Counter(listed_codes()) == Counter(errors.ERRORS.keys())


@pytest.mark.parametrize("code", errors.ERRORS)
def test_code_can_be_raised(code: str) -> None:
    assert code in strings_in(ROOT / "function" / "sluice_service")


@pytest.mark.parametrize("kind", errors.ERRORS.values(), ids=lambda kind: kind.code)
def test_code_has_a_what_a_why_and_an_action(kind: errors.ErrorKind) -> None:
    parts = (kind.what, kind.why, kind.action)

    assert all((part.endswith((".", "}", "README.")) and part[0].isupper()) or part[0] in "`{" for part in parts)
    assert len(set(parts)) == 3
    assert all(len(part) > 15 for part in parts)


@pytest.mark.parametrize("kind", errors.ERRORS.values(), ids=lambda kind: kind.code)
def test_code_has_a_failing_status_and_a_known_type(kind: errors.ErrorKind) -> None:
    assert 400 <= kind.status <= 599
    assert kind.type in OPENAI_TYPES | OWN_TYPES


@pytest.mark.parametrize("kind", errors.ERRORS.values(), ids=lambda kind: kind.code)
def test_parts_are_complete_even_without_data(kind: errors.ErrorKind) -> None:
    names = {name for part in (kind.what, kind.why, kind.action) for _, name, _, _ in string.Formatter().parse(part)}

    report = errors.SluiceError(kind.code).report("an-id")

    assert report.correlation_id == "an-id"
    assert all("{" not in part for part in (report.what, report.why, report.action))
    assert names <= {None, "problem", "param", "model", "path", "method", "limit", "limit_bytes", "seconds", "content_type"}
