"""The file in which Cloud Run functions look for their target."""

from sluice_service.entry import chat

__all__ = ["chat"]
