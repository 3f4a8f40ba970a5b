"""What the operator sees: structured entries with their trace, redacted.

`entries` and `context` are what the rest of the service calls; `trace` reads the caller's headers; `setup` is called
once. `rendering` makes a clean entry of any log record, with `redaction` and `escaping`; `handlers` and `cloud` write it.
"""
