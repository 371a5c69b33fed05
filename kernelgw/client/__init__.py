"""The Python SDK. Imports nothing from the server, so that it can be lifted out."""

from .http import Client, Event, GatewayProblem, Session

__all__ = ("Client", "Event", "GatewayProblem", "Session")
