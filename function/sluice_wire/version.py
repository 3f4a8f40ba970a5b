"""The one place where the version stands: the wheel, /health and the terminal read it here."""

__version__ = "0.1.0"
