"""`/v1/conversations…` and `/v1/onboarding/{agent}`: what is stored of the caller, and only of the caller."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flask import Response, request

from sluice_service.chat import onboarding
from sluice_service.chat.agents import Agents
from sluice_service.stores.base import Conversation, ConversationStore, Message, Page, no_such_conversation
from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.body import read_json
from sluice_service.web.errors import JSON_TYPE
from sluice_service.web.gate import principal
from sluice_service.web.requests import CONVERSATION_ID, ForkRequest, PageQuery, RenameRequest, parse

MAX_BODY_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class History:
    """The routes and what they need. Each raises `not_found` for another's, and `storage_unavailable`."""

    store: ConversationStore
    agents: Agents

    def conversations(self) -> Response:
        """A page of the caller's conversations, last updated first."""
        query = _page_query()
        page = self.store.conversations(principal().user, query.limit, query.cursor)
        return _json(_page_json(page, _conversation_json))

    def conversation(self, conversation_id: str) -> Response:
        """One conversation with a page of its messages, oldest first."""
        query, user = _page_query(), principal().user
        _require_id(conversation_id)
        conversation = self.store.conversation(user, conversation_id)
        page = self.store.messages(user, conversation_id, query.limit, query.cursor)
        return _json({**_conversation_json(conversation), "messages": _page_json(page, _message_json)})

    def rename(self, conversation_id: str) -> Response:
        """Give it another title."""
        _require_id(conversation_id)
        title = parse(RenameRequest, read_json(request.environ, MAX_BODY_BYTES)).title
        return _json(_conversation_json(self.store.rename(principal().user, conversation_id, title)))

    def delete(self, conversation_id: str) -> Response:
        """Remove it with all its messages."""
        _require_id(conversation_id)
        self.store.delete(principal().user, conversation_id)
        return Response(status=204)

    def fork(self, conversation_id: str) -> Response:
        """A new conversation with the messages up to and including one."""
        _require_id(conversation_id)
        message_id = parse(ForkRequest, read_json(request.environ, MAX_BODY_BYTES)).message_id
        forked = self.store.fork(principal().user, conversation_id, message_id)
        return _json(_conversation_json(forked), status=201)

    def onboarding(self, agent_id: str) -> Response:
        """Where the caller stands with an agent's questions: the next one, and the answers so far."""
        agent = self.agents.get(agent_id, principal().agents)
        progress = self.store.progress(principal().user, agent.id)
        body = {
            "agent": agent.id,
            **onboarding.standing(agent, progress),
            "question": onboarding.question(agent, progress),
            "answers": dict(progress.answers),
        }
        return _json(body)

    def start_again(self, agent_id: str) -> Response:
        """Forget the answers."""
        agent = self.agents.get(agent_id, principal().agents)
        self.store.reset_progress(principal().user, agent.id)
        return Response(status=204)


def _require_id(conversation_id: str) -> None:
    """Raises `not_found` for what can be no conversation's id, and so is none that a store has to understand."""
    if not re.fullmatch(CONVERSATION_ID, conversation_id):
        raise no_such_conversation(conversation_id)


def _page_query() -> PageQuery:
    given: dict[str, Any] = request.args.to_dict()
    return parse(PageQuery, given)


def _page_json(page: Page[Any], item_json: Any) -> dict[str, Any]:
    return {"object": "list", "data": [item_json(item) for item in page.items], "next_cursor": page.next_cursor}


def _conversation_json(conversation: Conversation) -> dict[str, Any]:
    body = {name: value for name, value in asdict(conversation).items() if name != "user"}
    return {"object": "conversation", **body}


def _message_json(message: Message) -> Mapping[str, Any]:
    return {"object": "message", **asdict(message)}


def _json(value: Any, status: int = 200) -> Response:
    return Response(ascii_json(value), status=status, content_type=JSON_TYPE, headers={"cache-control": "no-store"})
