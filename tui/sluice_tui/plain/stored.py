"""Conversations that the server keeps, as the plain face goes on with them."""

from sluice_tui.connection import Connection
from sluice_tui.conversations import Conversations
from sluice_tui.errors import ClientError, client_error
from sluice_tui.reopening import last_before, session_of
from sluice_tui.session import Session, Turn

NOT_FOUND = 404


async def reopened(connection: Connection, conversation_id: str, *, keep_agent: bool) -> Session:
    """The conversation so far, empty where nobody has it yet; its agent is taken unless `keep_agent`. Raises ClientError."""
    line = await connection.line()
    if not (await connection.capabilities()).conversations:
        raise client_error("no_conversations", url=line.api.url)
    try:
        summary, messages = await Conversations(line.api).read(conversation_id)
    except ClientError as error:
        if error.status == NOT_FOUND:
            return Session(conversation_id)
        raise
    if not keep_agent:
        await connection.use(summary.agent)
    return session_of(summary, messages)


async def id_without(connection: Connection, session: Session, turn: Turn) -> str | None:
    """The id of a copy that ends before a turn; None where nothing is stored before it. Raises ClientError."""
    conversations = Conversations((await connection.line()).api)
    try:
        _, messages = await conversations.read(session.id)
    except ClientError as error:
        if error.status == NOT_FOUND:  # it was deleted elsewhere
            return None
        raise
    last = last_before(turn, session, messages)
    return (await conversations.fork(session.id, last.id)).id if last else None
