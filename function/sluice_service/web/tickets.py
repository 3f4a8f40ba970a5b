"""Tickets: what a page may put into an address, where a long-lived key must never stand.

A browser's EventSource sends no headers, so its credential is in the query string, which proxies and histories keep. There
a ticket is of little use: it names one user and one route, starts one turn within a minute, and from then on only leads to
that turn's stream. Nothing is stored for it: it is signed, by HMAC-SHA256, and compared in constant time. It is not
encrypted: its holder can read the message in it.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass

from itsdangerous import BadData, URLSafeSerializer

from sluice_service.quotas.base import Limits
from sluice_service.web.auth import Principal
from sluice_wire.errors import SluiceError

START_SECONDS = 60.0
MAX_MESSAGE_CHARACTERS = 8_000
MAX_TICKET_CHARACTERS = 7_000
"""With a route and a conversation's id it fits into gunicorn's longest request line, 8,190 bytes."""

CLOCK_SKEW_SECONDS = 5.0
"""How far the clocks of two instances may be apart."""

# Changed with the form of what is signed, so that a ticket of another form is no ticket.
_SALT = "sluice.ticket.2"

# base64 leaves two bits of a digest's last character unused: with any but these, a changed ticket would still be valid.
_FORM = re.compile(r"\.?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True, slots=True)
class Ticket:
    """An opened ticket. `id` is its own alone: the idempotency key of the one turn that it starts."""

    id: str
    route: str
    principal: Principal
    message: str | None
    turn: str | None
    """The turn's own name, if it has one: what is stored of a turn is replaced when it is asked again under its name."""
    age_seconds: float

    @property
    def may_start(self) -> bool:
        """Whether its turn may still be started; otherwise it is good for resuming that turn's stream only."""
        return self.age_seconds <= START_SECONDS


class Tickets:
    """Issues and opens tickets. Every instance needs the same `secret`.

    `resume_seconds` is how long after its first minute a ticket still leads to its stream: the longest answer and the time
    that a stream is kept. `now` is the wall clock, in seconds.
    """

    def __init__(self, secret: str | bytes, resume_seconds: float, now: Callable[[], float] = time.time) -> None:
        signing = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        self._serializer = URLSafeSerializer(secret, salt=_SALT, signer_kwargs=signing)
        self._lifetime_seconds = START_SECONDS + resume_seconds
        self._now = now

    def issue(self, principal: Principal, route: str, message: str | None = None, turn: str | None = None) -> str:
        """A ticket for one turn on this route; safe in an address as it stands, and at most MAX_TICKET_CHARACTERS long.

        Raises `invalid_request` for a message that is too long, by itself or for an address once it is compressed.
        """
        if message is not None and len(message) > MAX_MESSAGE_CHARACTERS:
            problem = f"message must have at most {MAX_MESSAGE_CHARACTERS} characters."
            raise SluiceError("invalid_request", param="message", problem=problem)
        content = [secrets.token_hex(16), self._now(), route, *astuple(principal), message, turn]
        token = str(self._serializer.dumps(content))
        if len(token) > MAX_TICKET_CHARACTERS:
            problem = "message is too long for an address; POST /chat takes it."
            raise SluiceError("invalid_request", param="message", problem=problem)
        return token

    def open_(self, token: str, route: str) -> Ticket:
        """The ticket, if it is one of ours, for this route, and not expired. Raises `invalid_credentials`."""
        if len(token) > MAX_TICKET_CHARACTERS or not _FORM.fullmatch(token):
            raise SluiceError("invalid_credentials")
        try:
            id_, issued_at, for_route, user, agents, limits, message, turn = self._serializer.loads(token)
        except BadData:
            raise SluiceError("invalid_credentials") from None
        age_seconds = self._now() - issued_at
        if for_route != route or not -CLOCK_SKEW_SECONDS <= age_seconds <= self._lifetime_seconds:
            raise SluiceError("invalid_credentials")
        owner = Principal(user, tuple(agents), Limits(*limits))
        return Ticket(id_, for_route, owner, message, turn, max(0.0, age_seconds))
