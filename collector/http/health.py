"""Whether it lives, and whether it can answer: for those who keep it up, without a token."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from bgpledger import StoreUnavailableError
from collector.http.asking import Asked
from collector.http.problems import RESPONSES

OPEN_PATHS = ("/health", "/ready")
"""What may be asked without a token."""

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """It is as well as it says."""

    state: Literal["alive", "ready"]


@router.get("/health", summary="Whether this process answers")
async def health() -> Alive:
    """Asks nothing: says that this process answers."""
    return Alive(state="alive")


@router.get("/ready", summary="Whether questions can be answered", responses={503: RESPONSES[503]})
async def ready(asked: Asked) -> Alive:
    """Asks the store, and says whether it answers."""
    status = await asked.archive.status()
    if status.store.startswith("unreachable"):
        raise StoreUnavailableError("the store does not answer", "see the collector's log")
    return Alive(state="ready")
