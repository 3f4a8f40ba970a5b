"""The terminal client: a chat on the screen, and a plain face for pipes.

Imports go one way: cli → commands → {app, plain, doctor, config}, app → screens → widgets, and {connection, api, stream,
session} → sluice_wire. It never imports the service; what it knows of it is its HTTP interface and where its source lies.
Text from models, servers and agents passes `safety.inert` before it reaches a terminal.
"""
