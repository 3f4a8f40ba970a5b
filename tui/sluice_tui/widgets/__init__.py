"""What the user sees, one widget a file.

A widget is told what to show and posts what the user did as a small message; it knows neither the session nor the network.
Text from outside reaches it as `Inert`, and is shown as it stands: no widget here reads markup in it.
"""
