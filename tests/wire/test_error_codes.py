import ast
import functools
from pathlib import Path

import pytest

from sluice_wire import errors

FUNCTION = Path(__file__).parents[2] / "function"
LIST = Path(errors.__file__)


@functools.cache
def strings_in_the_code() -> frozenset[str]:
    """Every string constant of the service outside of the list itself, docstrings being longer than any code."""
    modules = [path for path in FUNCTION.rglob("*.py") if path.resolve() != LIST.resolve()]
    nodes = (node for path in modules for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def codes_as_written() -> list[str]:
    """The first argument of every ErrorKind in the list: a mapping would hide a code that stands there twice."""
    tree = ast.parse(LIST.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    kinds = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "ErrorKind"]
    return [str(ast.literal_eval(kind.args[0])) for kind in kinds]


def test_every_code_stands_in_the_list_once() -> None:
    assert sorted(codes_as_written()) == sorted(errors.ERRORS)


@pytest.mark.parametrize("code", errors.ERRORS)
def test_every_code_is_raised_somewhere(code: str) -> None:
    assert code in strings_in_the_code()
