"""Who is calling: bearer keys, compared in constant time, before anything of the body is read.

Source: RFC 6750 (bearer tokens), RFC 9110 section 11.1 (the scheme is case-insensitive).
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from sluice_service.quotas.base import Limits
from sluice_wire.errors import SluiceError


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a key belongs to, and the agents it may use (`*` for all)."""

    user: str
    agents: tuple[str, ...]
    limits: Limits


class Keys:
    """The known keys, each as the SHA-256 digest of its bytes."""

    def __init__(self, keys: Sequence[tuple[bytes, Principal]]) -> None:
        self._keys = tuple(keys)

    def authenticate(self, authorization: str | None) -> Principal:
        """The caller's principal. Raises `missing_credentials`, `invalid_credentials`.

        `authorization` is the header as WSGI gives it: bytes as Latin-1, so that encoding it back yields them. Every key
        is compared, so that the time taken says nothing about which one matched.
        """
        scheme, _, credentials = (authorization or "").strip().partition(" ")
        if not scheme:
            raise SluiceError("missing_credentials")
        digest = hashlib.sha256(credentials.strip().encode("latin-1")).digest()
        matches = [principal for known, principal in self._keys if hmac.compare_digest(known, digest)]
        if scheme.lower() != "bearer" or not matches:
            raise SluiceError("invalid_credentials")
        return matches[0]
