"""Where conversations and onboarding progress are kept: one Protocol, `base.ConversationStore`, and a file for each adapter.

Everything here is synchronous and may wait for a disk or a network, for a bounded time: callers run it on an executor of
its own, never on the pump. Knows no agent, no turn and no HTTP. A foreign exception leaves an adapter as
`storage_unavailable`, once, where it arose.
"""
