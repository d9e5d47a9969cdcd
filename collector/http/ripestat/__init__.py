"""`/data/<call>/data.json`: answers in the shapes of RIPEstat's Data API, of our own routers, true at any second."""

from fastapi import APIRouter

from collector.http.ripestat import activity, events, histories, neighbours, standing, states

router = APIRouter(prefix="/data", tags=["RIPEstat"])
for part in (events, states, standing, histories, neighbours, activity):
    router.include_router(part.router)
