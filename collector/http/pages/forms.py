"""The input in our forms."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from bgpledger import UsageError

_MOST = 100


async def fields_of(request: Request) -> dict[str, str]:
    """The fields that are not empty, by name; of several with one name the last.

    Raises:
        UsageError: it is not in the format of a form (application/x-www-form-urlencoded).
    """
    try:
        text = (await request.body()).decode()
        return dict(parse_qsl(text, encoding="utf-8", errors="strict", max_num_fields=_MOST))
    except ValueError:
        raise UsageError(
            "this request does not come from the form", "open the page again, and fill in the form"
        ) from None
