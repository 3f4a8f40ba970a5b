"""The function: from a request to a streamed answer.

Imports go one way: entry → app → web → chat → {generation, providers, telemetry} → sluice_wire. Only `app.py` names
concrete adapters; nothing here knows the terminal.
"""

import os

# Pydantic would look for plugins in every installed package, for 25 ms of each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
