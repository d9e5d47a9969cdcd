"""`/api/v1`: the queries of the command line."""

from fastapi import APIRouter

from collector.http.api import announcements, live, peers, prefixes, routes, status, updates
from collector.http.problems import RESPONSES

api = APIRouter(prefix="/api/v1", responses=RESPONSES)
for part in (prefixes, routes, updates, live, peers, status, announcements):
    api.include_router(part.router)
