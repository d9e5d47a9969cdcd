"""The protocol of RIS Live with our own routers, for existing RIS Live clients: `/v1/ws/`, and `/v1/stream/`."""

from fastapi import APIRouter

from collector.http.rislive import socket, stream

router = APIRouter()
router.include_router(socket.router)
router.include_router(stream.router)

__all__ = ["router"]
