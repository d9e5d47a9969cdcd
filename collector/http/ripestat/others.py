"""Calls that are not about routing: the client's address, and calls that only RIPEstat can answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from collector.http.problems import RefusedRequestError
from collector.http.query_context import QueryContextDep
from collector.http.ripestat.call import Call, Common, Json, answer

router = APIRouter()


@router.get("/whats-my-ip/data.json", summary="The address of whoever asks")
async def whats_my_ip(request: Request, context: QueryContextDep, wanted: Annotated[Common, Query()]) -> JSONResponse:
    """The address from which the request came."""

    async def work(_call: Call) -> Json:
        return {"ip": request.client.host if request.client else ""}

    return await answer("whats-my-ip", "0.1", context, wanted, work)


@router.get("/{name}/data.json", include_in_schema=False)
async def other(name: str, context: QueryContextDep, wanted: Annotated[Common, Query()]) -> JSONResponse:
    """Says that registrations, RPKI and DNS are not available here."""

    async def work(_call: Call) -> Json:
        raise RefusedRequestError(
            HTTPStatus.NOT_FOUND,
            f"{name[:80]} is not among the calls that an archive of BGP can answer",
            "ask RIPEstat itself, https://stat.ripe.net; see /api/v1/docs for what is answered here",
        )

    return await answer(name[:80], "0.0", context, wanted, work)
