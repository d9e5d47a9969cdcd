"""The status of the collector."""

from __future__ import annotations

from fastapi import APIRouter

from bgpledger import CollectorStatus
from collector.http.query_context import QueryContextDep

router = APIRouter(tags=["status"])


@router.get("/status", summary="State of the collector and its store", response_model=CollectorStatus)
async def status(context: QueryContextDep) -> CollectorStatus:
    """Lines read, stored, rejected and waiting, the lag, the store, and versions."""
    return await context.archive.status()
