"""HTTP: routes, authentication, request models, dialects (events to bytes) and the shapes of errors.

The only package that knows Flask. It starts turns through `chat` and tails their logs; it never talks to a provider.
"""
