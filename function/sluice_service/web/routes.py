"""Every address, and what serves it."""

from dataclasses import dataclass
from functools import partial

from flask import Flask

from sluice_service.web.catalogue import Catalogue
from sluice_service.web.completions import Completions
from sluice_service.web.event_source import EventSourceChat
from sluice_service.web.history import History
from sluice_service.web.lifecycle import HEALTH_PATH
from sluice_service.web.openapi import OpenAPI
from sluice_service.web.page import Page
from sluice_service.web.simple_chat import SimpleChat
from sluice_service.web.streams import Streams
from sluice_service.web.ticket_desk import TicketDesk


@dataclass(frozen=True, slots=True)
class Routes:
    """Who serves."""

    catalogue: Catalogue
    completions: Completions
    streams: Streams
    simple_chat: SimpleChat
    event_source: EventSourceChat
    ticket_desk: TicketDesk
    history: History
    openapi: OpenAPI
    page: Page


def add_routes(app: Flask, routes: Routes) -> None:
    """Put them all into the app's map. OPTIONS is CORS's."""
    rule = partial(app.add_url_rule, provide_automatic_options=False)
    history, streams = routes.history, routes.streams
    rule(HEALTH_PATH, "health", routes.catalogue.health)
    rule("/openapi.json", "openapi", routes.openapi.show)
    rule("/v1/models", "models", routes.catalogue.models)
    rule("/v1/models/<path:agent_id>", "model", routes.catalogue.model)
    rule("/v1/chat/completions", "completions", routes.completions.create, methods=["POST"])
    rule("/v1/streams/<stream_id>", "stream", streams.resume)
    rule("/v1/streams/<stream_id>/cancel", "cancel", streams.cancel, methods=["POST"])
    rule("/v1/tickets", "tickets", routes.ticket_desk.issue, methods=["POST"])
    rule("/v1/conversations", "conversations", history.conversations)
    rule("/v1/conversations/<conversation_id>", "conversation", history.conversation)
    rule("/v1/conversations/<conversation_id>", "rename", history.rename, methods=["PATCH"])
    rule("/v1/conversations/<conversation_id>", "delete", history.delete, methods=["DELETE"])
    rule("/v1/conversations/<conversation_id>/fork", "fork", history.fork, methods=["POST"])
    rule("/v1/onboarding/<path:agent_id>", "onboarding", history.onboarding)
    rule("/v1/onboarding/<path:agent_id>", "start_again", history.start_again, methods=["DELETE"])
    for address in routes.page.addresses:
        rule(address, "page", routes.page.show)
    rule("/chat", "chat", routes.simple_chat.create, methods=["POST"])
    rule("/chat/stream", "chat_stream", routes.event_source.chat)
    rule("/chat/onboarding-stream", "onboarding_stream", routes.event_source.onboarding)
