"""`/v1/ws/`: the protocol of RIS Live with our own routers, for existing RIS Live clients."""

from collector.http.rislive.socket import router

__all__ = ["router"]
