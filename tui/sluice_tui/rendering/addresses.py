"""Whether a link's text already tells where it leads."""

from urllib.parse import unquote

_SCHEMES = ("", "http://", "https://", "mailto:")


def is_same_address(text: str, target: str) -> bool:
    """Whether the text is the target, but for percent-encoding or a scheme that was added: never another host."""
    return any(_read(scheme + text) == _read(target) for scheme in _SCHEMES)


def _read(address: str) -> tuple[str, str]:
    """The scheme and host as they stand, and what follows them decoded: `%2F` in a host is no slash."""
    scheme, separator, rest = address.partition("://")
    host_end = next((place for place, character in enumerate(rest) if character in "/?#"), len(rest))
    return scheme + separator + rest[:host_end], unquote(rest[host_end:])
