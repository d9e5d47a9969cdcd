"""`/api/v1`: the questions of the command line."""

from fastapi import APIRouter

from collector.http.api import peers
from collector.http.problems import RESPONSES

api = APIRouter(prefix="/api/v1", responses=RESPONSES)
api.include_router(peers.router)
