"""Write .env.example: every setting of the function with what it means and its default."""

import ast
import inspect
import shlex
import sys
import textwrap
from itertools import chain, pairwise

from generated import write_or_check
from sluice_service.settings import Settings

HEAD = """\
# The function's settings: copy this file to .env and take the # away before what you set.
# `make chat` and `make serve` read .env as a shell does: NAME=value, and NAME='a value' where it has spaces or quotes.
# What is already set in the environment wins.
"""
COLUMNS = 118


def main() -> int:
    told = meanings()
    entries = [entry(name, field.get_default(), told[name]) for name, field in Settings.model_fields.items()]
    return write_or_check("Describe every setting.", {".env.example": "\n".join([HEAD, *entries])})


def meanings() -> dict[str, str]:
    """Every setting's docstring, read from the source: pydantic would read it at each start of the function, for 20 ms."""
    body = chain.from_iterable(map(ast.iter_child_nodes, ast.parse(inspect.getsource(Settings)).body))
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(docstring.value).split())
        for field, docstring in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(docstring, ast.Expr)
    }


def entry(name: str, default: object, meaning: str) -> str:
    """A setting's meaning, as comments, and its line."""
    told = textwrap.fill(meaning, COLUMNS, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return f"{told}\n#{name.upper()}={shell_value(default)}\n"


def shell_value(default: object) -> str:
    """A default as the function reads it from the environment; empty means unset."""
    if default is None or default == ():
        return ""
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return shlex.quote(text)


if __name__ == "__main__":
    sys.exit(main())
