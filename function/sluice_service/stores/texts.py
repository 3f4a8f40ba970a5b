"""Texts as databases can hold them.

Both stores want valid UTF-8. A lone surrogate, which JSON can spell, is not: such a text is kept as bytes instead, and the
type tells which it was. All other texts stay readable in the database's own tools.
"""

from typing import Any


def storable(value: Any) -> Any:
    """A text, or bytes for one that is not valid UTF-8; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def original(value: Any) -> Any:
    """The value that `storable` was given."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value
