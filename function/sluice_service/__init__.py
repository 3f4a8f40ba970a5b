"""The function: from a request to a streamed answer.

Imports go one way: entry → app → web → chat → {generation, providers, telemetry} → sluice_wire. Only `app.py` names
concrete adapters; nothing here knows the terminal.
"""
