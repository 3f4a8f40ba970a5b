"""The engine: one model call becomes a log of frames, and any number of readers tail it.

A `Generation` runs on the pump, an asyncio loop on a thread of its own, and is the only writer of its `Log`. A `Reader`
belongs to one request's thread and only reads. Whoever needs both threads to agree says so in a comment. Nothing here
knows HTTP, Flask, a dialect's format or a concrete provider.
"""
