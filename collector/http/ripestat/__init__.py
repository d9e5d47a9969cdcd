"""`/data/<call>/data.json`: answers in the form of RIPEstat's Data API, about our own routers, for any second."""

from fastapi import APIRouter

from collector.http.problems import RESPONSES
from collector.http.ripestat import activity, events, histories, neighbours, others, states, visibility
from schemas.json_object import JsonObject

_FAULTS: dict[int | str, JsonObject] = {
    status: {"description": f"{about}, as `messages` tell.", "content": {"application/json": {}}}
    for status, about in (
        (400, "The question cannot be meant"),
        (503, "The store does not answer"),
        (504, "The question was not answered in its time"),
    )
}
_RESPONSES: dict[int | str, JsonObject] = {**{status: RESPONSES[status] for status in (401, 429)}, **_FAULTS}

router = APIRouter(prefix="/data", tags=["RIPEstat"], responses=_RESPONSES)
for part in (events, states, visibility, histories, neighbours, activity, others):
    router.include_router(part.router)
