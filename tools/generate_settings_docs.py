"""Write the table of settings in docs/operations.md: what each means, its default and what is allowed."""

import sys
from typing import Any

from generate_env_example import meanings, shell_value
from generated import table, with_parts, write_or_check
from sluice_service.settings import Settings

PATH = "docs/operations.md"
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "minLength": "at least {} characters",
    "maximum": "at most {}",
}
FORMS = {"boolean": "`true`, `false`", "integer": "whole number", "number": "number", "array": "list", "string": "text"}


def main() -> int:
    properties = Settings.model_json_schema()["properties"]
    told = meanings()
    rows = [row(name, field.get_default(), properties[name], told[name]) for name, field in Settings.model_fields.items()]
    settings = table(["variable", "default", "allowed", "meaning"], rows)
    return write_or_check("Document every setting.", {PATH: with_parts(PATH, {"settings": settings})})


def row(name: str, default: object, schema: dict[str, Any], meaning: str) -> list[str]:
    """One setting's line."""
    shown = shell_value(default)
    return [f"`{name.upper()}`", f"`{shown}`" if shown else "", allowed(schema), meaning]


def allowed(schema: dict[str, Any]) -> str:
    """What a value may be, in words."""
    (kind,) = [kind for kind in schema.get("anyOf", [schema]) if kind["type"] != "null"]
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    bounds = [words.format(kind[bound]) for bound, words in BOUNDS.items() if bound in kind]
    return ", ".join([FORMS[kind["type"]], *bounds])


if __name__ == "__main__":
    sys.exit(main())
