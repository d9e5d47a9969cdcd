"""`/api/v1`: the questions of the command line."""

from fastapi import APIRouter

from collector.http.api import live, peers, prefixes, routes, status, updates
from collector.http.problems import RESPONSES

api = APIRouter(prefix="/api/v1", responses=RESPONSES)
for part in (prefixes, routes, updates, live, peers, status):
    api.include_router(part.router)
