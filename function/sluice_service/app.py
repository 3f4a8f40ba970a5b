"""The one place that wires the parts together."""

import logging
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flask import Flask

from sluice_service import settings as environment
from sluice_service.chat.agents import DEMO_AGENT, DEMO_PROVIDER, Agent, Agents, AgentsError, ProviderSpec, read_agents
from sluice_service.chat.chunking import split
from sluice_service.chat.conversations import Conversations
from sluice_service.chat.saving import Saver
from sluice_service.chat.turn import Chat
from sluice_service.generation.clocks import Clocks
from sluice_service.generation.memory_log import MemoryLog
from sluice_service.generation.pump import Pump
from sluice_service.generation.registry import Registry
from sluice_service.providers.base import KeySource, Provider
from sluice_service.providers.demo import DemoProvider
from sluice_service.quotas.base import Limits, Quotas
from sluice_service.settings import KeySpec, Settings, SettingsError
from sluice_service.stores.base import ConversationStore
from sluice_service.stores.opening import open_store
from sluice_service.telemetry import entries
from sluice_service.web import cors, errors, gate
from sluice_service.web.answers import Answers
from sluice_service.web.auth import Keys, Principal
from sluice_service.web.catalogue import Catalogue
from sluice_service.web.completions import Completions
from sluice_service.web.delivery import Delivery
from sluice_service.web.departures import Departures
from sluice_service.web.drain import Drain
from sluice_service.web.event_source import EventSourceChat
from sluice_service.web.history import History
from sluice_service.web.lifecycle import Lifecycle
from sluice_service.web.openapi import OpenAPI
from sluice_service.web.page import Page
from sluice_service.web.routes import Routes, add_routes
from sluice_service.web.simple_chat import SimpleChat
from sluice_service.web.streams import Streams
from sluice_service.web.ticket_desk import TicketDesk
from sluice_service.web.tickets import Tickets

PACKAGED_AGENTS = Path(__file__).with_name("agents.toml")
PACKAGED_PAGE = Path(__file__).with_name("page")


class Service(NamedTuple):
    """The WSGI app, and what ends its work."""

    app: Flask
    drain: Drain


def create_app(settings: Settings) -> Service:
    """The service. Raises AgentsError, SettingsError when it cannot be as it is asked to be."""
    app = Flask("sluice", static_folder=None)
    app.url_map.merge_slashes = False  # an address means one thing only
    pump = Pump()
    registry = Registry(pump, MemoryLog, settings.max_log_bytes, settings.resume_ttl_seconds)
    agents, providers = _agents(settings)
    saver, store, quotas = Saver(pump), _store(settings), _quotas(settings)
    chat = Chat(
        registry=registry,
        providers=providers,
        conversations=Conversations(store, saver),
        quotas=quotas,
        clocks=_clocks(settings),
        max_bytes=settings.max_stream_bytes,
    )
    _share(registry, pump, settings, longest_seconds=chat.longest_seconds(agents))
    delivery = Delivery(pump, Departures(pump), settings.heartbeat_seconds)
    answers = Answers(chat, delivery, settings.resume_grace_seconds, settings.log_content)
    tickets = Tickets(_ticket_secret(settings), chat.longest_seconds(agents) + settings.resume_ttl_seconds)
    cors.allow_origins(app, settings.cors_origins)
    gate.guard(app, _keys(settings))
    errors.handle_errors(app)
    add_routes(app, _routes(settings, agents, answers, registry, tickets, store))
    lifecycle = Lifecycle(app.wsgi_app, settings.capacity)
    app.wsgi_app = lifecycle  # type: ignore[method-assign]
    _say_the_limits(settings)
    return Service(app, Drain(lifecycle, registry, pump, saver, (saver.flush, quotas.flush)))


def _routes(
    settings: Settings,
    agents: Agents,
    answers: Answers,
    registry: Registry,
    tickets: Tickets,
    store: ConversationStore,
) -> Routes:
    body, tokens, enabled = settings.max_body_bytes, settings.max_tokens, settings.enable_streaming
    return Routes(
        catalogue=Catalogue(agents, enabled),
        completions=Completions(agents, answers, body, enabled),
        streams=Streams(registry, answers.delivery),
        simple_chat=SimpleChat(agents, answers, body, tokens, enabled),
        event_source=EventSourceChat(agents, answers, registry, tickets, tokens, enabled),
        ticket_desk=TicketDesk(tickets, answers.chat, body),
        history=History(store, agents),
        openapi=OpenAPI(tokens),
        page=Page(PACKAGED_PAGE),
    )


def _store(settings: Settings) -> ConversationStore:
    try:
        store = open_store(settings.conversations)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    if settings.conversations.startswith("sqlite") and settings.k_service is not None:
        message = "CONVERSATIONS is a file on Cloud Run, whose disk is memory: use firestore:// to keep them."
        entries.write("conversations_not_kept", message, severity=logging.WARNING)
    return store


def _quotas(settings: Settings) -> Quotas:
    if settings.redis_url is None:
        from sluice_service.quotas.memory import MemoryQuotas

        return MemoryQuotas()
    from sluice_service.quotas.redis import RedisQuotas

    return RedisQuotas(settings.redis_url.get_secret_value())


def _ticket_secret(settings: Settings) -> str:
    if settings.ticket_secret is not None:
        return settings.ticket_secret.get_secret_value()
    message = "TICKET_SECRET is not set: tickets are good on this instance only, and until it ends."
    entries.write("random_ticket_secret", message, severity=logging.WARNING)
    return secrets.token_urlsafe(32)


def _share(registry: Registry, pump: Pump, settings: Settings, *, longest_seconds: float) -> None:
    if settings.redis_url is None:
        return
    # Imported here: an instance of its own does without.
    from sluice_service.generation.redis_instance import RedisInstance
    from sluice_service.generation.redis_sharing import RedisSharing

    join = partial(
        RedisInstance,
        settings.redis_url.get_secret_value(),
        new_log=registry.new_log,
        release_log=registry.release_log,
        hear=registry.hear,
        live_seconds=longest_seconds,
        kept_seconds=settings.resume_ttl_seconds,
    )
    registry.share(RedisSharing(pump, join))


def _say_the_limits(settings: Settings) -> None:
    entries.write(
        "limits",
        "What one instance serves at once, and what it holds.",
        capacity=settings.capacity,
        threads=settings.threads,
        max_body_bytes=settings.max_body_bytes,
        max_stream_bytes=settings.max_stream_bytes,
        max_log_bytes=settings.max_log_bytes,
        timeout_seconds=settings.timeout_seconds,
    )


def _keys(settings: Settings) -> Keys:
    known = settings.keys()
    if not known:
        message = "No API keys are set, so every call is refused: set API_KEYS or API_KEYS_FILE."
        entries.write("no_keys", message, severity=logging.WARNING)
    return Keys([(bytes.fromhex(key.sha256), _principal(key, settings)) for key in known])


def _principal(key: KeySpec, settings: Settings) -> Principal:
    limits = Limits(
        streams=key.limits.streams or settings.streams_per_user,
        messages_per_hour=key.limits.messages_per_hour or settings.messages_per_hour,
    )
    return Principal(key.user, key.agents, limits)


def _clocks(settings: Settings) -> Clocks:
    return Clocks(
        first_token_seconds=settings.first_token_timeout_seconds,
        idle_seconds=settings.idle_timeout_seconds,
        total_seconds=settings.timeout_seconds,
    )


def _agents(settings: Settings) -> tuple[Agents, dict[str, Provider]]:
    """The agents that can answer, and the providers that they need."""
    file = read_agents(settings.agents_file or PACKAGED_AGENTS)
    wanted = [_with_model(agent, settings) for agent in file.agents]
    if settings.demo_agent:
        wanted.append(Agent.model_validate(DEMO_AGENT))
    usable = {name: provider for name, spec in file.providers.items() if (provider := _provider(name, spec, settings))}
    usable[DEMO_PROVIDER] = DemoProvider(settings.demo_tokens_per_second, settings.demo_first_token_ms)
    offered = [kept for agent in wanted if (kept := _reachable(agent, usable))]
    if not offered:
        message = "No agent can be offered: no provider has its key, and the demo agent is off."
        entries.write("no_agents", message, severity=logging.WARNING)
    return Agents(offered), usable


def _with_model(agent: Agent, settings: Settings) -> Agent:
    wins = agent.id == "assistant" and settings.openai_model
    return agent.model_copy(update={"model": settings.openai_model}) if wins else agent


def _reachable(agent: Agent, usable: Mapping[str, Provider]) -> Agent | None:
    """The agent without the upstreams that have no key; None when none is left."""
    upstreams = [upstream for upstream in agent.upstreams if upstream.provider in usable]
    if not upstreams:
        return None
    first, *rest = upstreams
    return agent.model_copy(update={"provider": first.provider, "model": first.model, "fallbacks": tuple(rest)})


def _provider(name: str, spec: ProviderSpec, settings: Settings) -> Provider | None:
    key = _provider_key(name, spec, settings)
    if key is None and spec.api_key_env is not None and spec.auth is None:
        return None
    # Imported here: the demo agent does without.
    from sluice_service.providers.openai_api import OpenAIProvider

    base_url = settings.openai_base_url if name == "openai" and settings.openai_base_url else spec.base_url
    cut = partial(split, smallest=settings.chunk_size_min, largest=settings.chunk_size_max)
    try:
        return OpenAIProvider(name=name, base_url=base_url, api_key=key, split=cut, proxies=environment.proxies())
    except ValueError as error:
        raise AgentsError(f"The provider {name} cannot be used: {error}") from error


def _provider_key(name: str, spec: ProviderSpec, settings: Settings) -> str | KeySource | None:
    if spec.auth == "google":
        # Imported here: it brings google-auth along.
        from sluice_service.providers.google_auth import GoogleToken

        return GoogleToken(name)
    if name == "openai" and settings.openai_api_key is not None:
        return settings.openai_api_key.get_secret_value()
    return environment.secret(spec.api_key_env) if spec.api_key_env else None
