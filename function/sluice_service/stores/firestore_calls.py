"""Calls to Firestore: a client made late, a deadline on each call, changes that do not overwrite each other.

Firestore's own transaction objects are not used: they take no deadline for beginning, committing and rolling back (60 s
each), and one whose process dies keeps its documents locked for as long. A change here is what Firestore calls optimistic:
it reads, then commits all its writes at once, on condition that what it read has not been written since, else it starts
anew.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeAlias, TypeVar

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore import Client, DocumentReference, DocumentSnapshot, Query, WriteBatch

from sluice_service.stores.failures import unavailable

Result = TypeVar("Result")

Snapshot: TypeAlias = DocumentSnapshot[DocumentReference]
"""A document as it was read, possibly one that does not exist."""

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5

_REASONS: dict[type[BaseException], str] = {
    exceptions.PermissionDenied: "the service account may not use the database; give it the role roles/datastore.user.",
    exceptions.Unauthenticated: "the credentials are not accepted.",
    exceptions.ResourceExhausted: "a quota of the project is used up.",
    exceptions.NotFound: "there is no such database; make it with `gcloud firestore databases create`.",
    exceptions.FailedPrecondition: "the database is not in native mode.",
    exceptions.DeadlineExceeded: "it did not answer in time.",
    exceptions.ServiceUnavailable: "it cannot be reached.",
    exceptions.RetryError: "it cannot be reached, or others have been writing the same documents all the time.",
    GoogleAuthError: "there are no credentials for it.",
    OSError: "no project is named, and the environment names none; set CONVERSATIONS to firestore://project.",
}


class Outdated(Exception):
    """What a change had read was written by somebody else before it could commit."""


class Calls:
    """The calls of one operation, which together end at one deadline."""

    def __init__(self, client: Client, deadline: float) -> None:
        self.client = client
        self._deadline = deadline

    def documents(
        self, references: Sequence[DocumentReference], fields: Sequence[str] | None = None, read_time: datetime | None = None
    ) -> dict[str, Snapshot]:
        """Several documents as they are at one moment, by their paths; also those that do not exist."""
        found = self.client.get_all(
            list(references), field_paths=fields, retry=None, timeout=self._seconds(), read_time=read_time
        )
        return {snapshot.reference.path: snapshot for snapshot in found}

    def stream(self, query: Query, read_time: datetime | None = None) -> Iterator[Snapshot]:
        """A query's documents, as they arrive."""
        return iter(query.stream(retry=None, timeout=self._seconds(), read_time=read_time))

    def commit(self, batch: WriteBatch) -> None:
        """All writes at once, or none. Raises Outdated when a condition no longer holds."""
        try:
            batch.commit(retry=None, timeout=self._seconds())
        except (exceptions.Aborted, exceptions.AlreadyExists, exceptions.FailedPrecondition, exceptions.NotFound) as error:
            raise Outdated(str(error)) from error

    def _seconds(self) -> float:
        return max(0.001, self._deadline - time.monotonic())


class Firestore:
    """One database. The client, and its connection, is made at the first use: gRPC does not survive the server's fork."""

    def __init__(self, project: str | None, database: str | None, deadline_seconds: float) -> None:
        self._project = project
        self._database = database
        self._deadline_seconds = deadline_seconds
        # Guards the making and the closing of `_client`.
        self._making = threading.Lock()
        self._client: Client | None = None
        self._closed = False

    def run(self, operation: str, work: Callable[[Calls], Result]) -> Result:
        """Do the work within the deadline, again when it is Outdated or the connection was lost: it must bear that.

        Raises `storage_unavailable`.
        """
        again = Retry(
            predicate=if_exception_type(Outdated, exceptions.ServiceUnavailable, exceptions.Aborted),
            initial=FIRST_PAUSE_SECONDS,
            maximum=LONGEST_PAUSE_SECONDS,
            timeout=self._deadline_seconds,
        )
        with _translated(operation):
            result: Result = again(work)(Calls(self._connected(operation), time.monotonic() + self._deadline_seconds))
            return result

    def close(self) -> None:
        """Let the connection go; gRPC closes it after the calls that are under way."""
        with self._making:
            self._closed = True
            self._client = None

    def _connected(self, operation: str) -> Client:
        with self._making:
            if self._closed:
                raise unavailable("Firestore", operation, "it is closed.")
            if self._client is None:
                self._client = Client(project=self._project, database=self._database)
            return self._client


@contextmanager
def _translated(operation: str) -> Iterator[None]:
    try:
        yield
    except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
        reason = next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), "it refused the request.")
        raise unavailable("Firestore", operation, reason, error) from error
