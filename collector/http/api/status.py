"""The status of the collector."""

from __future__ import annotations

from fastapi import APIRouter

from bgpledger import CollectorStatus
from collector.http.asking import Asked

router = APIRouter(tags=["status"])


@router.get("/status", summary="How the collector and its store do", response_model=CollectorStatus)
async def status(asked: Asked) -> CollectorStatus:
    """Lines read, stored, rejected and waiting, the lag, the store, and versions."""
    return await asked.archive.status()
