"""What the operator sees: structured entries with their trace, redacted.

`entries` is what the rest of the service calls; `trace` reads the caller's headers; `redaction` keeps secrets out; `setup`
chooses Cloud Logging's form or readable lines.
"""
