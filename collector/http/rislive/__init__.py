"""`/v1/ws/`: the protocol of RIS Live, with our own routers, so that what was made for it follows them."""

from collector.http.rislive.socket import router

__all__ = ["router"]
