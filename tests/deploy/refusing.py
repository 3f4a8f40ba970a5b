"""What the fake APIs have in common: a call, its answer, a refusal."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Answer: TypeAlias = dict[str, Any]

_WORDS = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS"}


@dataclass(frozen=True)
class Call:
    """One request: `host` without the fake domain, `body` parsed when it is JSON."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    body: Any


class Refused(Exception):
    """An answer that is none, in the form of Google's APIs. One that is `usual` happens to those who do nothing wrong."""

    def __init__(self, status: int, message: str, usual: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.usual = usual or status == 404
        self.word = _WORDS[status]


def require(holds: object, message: str) -> None:
    """Refuse what is not as it should be."""
    if not holds:
        raise Refused(400, message)
