"""Messages for the tests of the stores."""

import uuid
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sluice_service.stores.base import ConversationStore, Message

# Stores wait for disks and networks, so that an example's time says nothing.
PROPERTY = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

# Lone surrogates too: JSON can spell them, and a model can send them.
texts = st.text(st.characters(exclude_categories=()), max_size=40)


def new_id() -> str:
    return uuid.uuid4().hex


def message(message_id: str, content: str = "hello", **more: Any) -> Message:
    return Message(**{"id": message_id, "role": "user", "content": content, "created": 1.5, **more})


def all_messages(store: ConversationStore, user: str, conversation_id: str, limit: int = 100) -> list[Message]:
    """Every message, page by page."""
    page = store.messages(user, conversation_id, limit)
    found = list(page.items)
    while page.next_cursor:
        page = store.messages(user, conversation_id, limit, page.next_cursor)
        found += page.items
    return found
