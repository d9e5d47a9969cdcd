"""Health checks without a token: whether the process runs, and whether it can answer."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from bgpledger import StoreUnavailableError
from collector.http.problems import RESPONSES
from collector.http.query_context import QueryContextDep

OPEN_PATHS = ("/health", "/ready")
"""The paths that need no token."""

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The result of a check."""

    state: Literal["alive", "ready"]


@router.get("/health", summary="Whether this process answers")
async def health() -> Alive:
    """Check nothing: that this process answers is the result."""
    return Alive(state="alive")


@router.get("/ready", summary="Whether questions can be answered", responses={503: RESPONSES[503]})
async def ready(context: QueryContextDep) -> Alive:
    """Query the store, and report whether it answers."""
    status = await context.archive.status()
    if status.store.startswith("unreachable"):
        raise StoreUnavailableError("the store does not answer", "see the collector's log")
    return Alive(state="ready")
