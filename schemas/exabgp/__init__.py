"""ExaBGP's JSON, of 5.0 and of 4.2, and its translation into our messages.

A line is recognised by its shape, never by the version that it claims (both versions print wrong ones).
"""

from schemas.exabgp.messages import to_message

__all__ = ["to_message"]
