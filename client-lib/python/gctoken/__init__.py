"""Genesys Cloud tokens from the gctokend broker of this host; the standard library alone.

    from gctoken import Broker

    broker = Broker()
    token = broker.token()  # .authorization, .api_url, ...

Broker.call() repeats a call of the API whose token was refused; gctoken.genesys.attach() does so for
the official SDK.
"""

from .broker import DEFAULT_SOCKET, Broker
from .errors import (AccessDenied, ActionNeeded, BadRequest, BrokerError, BrokerUnreachable,
                     RejectCooldown, TryLater)
from .tokens import Token

__all__ = ["AccessDenied", "ActionNeeded", "BadRequest", "Broker", "BrokerError",
           "BrokerUnreachable", "DEFAULT_SOCKET", "RejectCooldown", "Token", "TryLater"]
