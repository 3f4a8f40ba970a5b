"""Write .env.example: every setting of the function with what it means and its default."""

import shlex
import sys
import textwrap

from pydantic.fields import FieldInfo

from generated import write_or_check
from sluice_service.settings import Settings

HEAD = """\
# The function's settings: copy this file to .env and take the # away before what you set.
# `make chat` and `make serve` read .env as a shell does: NAME=value, and NAME='a value' where it has spaces or quotes.
# What is already set in the environment wins.
"""
COLUMNS = 118


def main() -> int:
    entries = [entry(name, field) for name, field in Settings.model_fields.items()]
    return write_or_check("Describe every setting.", {".env.example": "\n".join([HEAD, *entries])})


def entry(name: str, field: FieldInfo) -> str:
    """A setting's description, as comments, and its line."""
    description = textwrap.fill(
        field.description or "", COLUMNS, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    return f"{description}\n#{name.upper()}={shell_value(field.get_default())}\n"


def shell_value(default: object) -> str:
    """A default as the function reads it from the environment; empty means unset."""
    if default is None or default == ():
        return ""
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return shlex.quote(text)


if __name__ == "__main__":
    sys.exit(main())
