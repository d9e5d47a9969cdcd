"""schemathesis, which others wrote: it asks what the description lets one ask, and finds no failure of ours.

HTTP_EXAMPLES=200 (make http-schema) asks more of each question.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from tests.http.conftest import PATIENCE

EXAMPLES = int(os.environ.get("HTTP_EXAMPLES") or 3)
ENDLESS = ("/api/v1/live", "/v1/stream/")


def test_every_question_is_answered_or_refused(served: str) -> None:
    # Here, as every process that runs tests would import it.
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

    asked = 0
    checks = [not_a_server_error, status_code_conformance, content_type_conformance]
    schema = schemathesis.openapi.from_url(f"{served}/api/v1/openapi.json")
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # an invalid one fails here
        if operation.path in ENDLESS:
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
            deadline=None,
            database=None,
        )
        def ask(case: Any) -> None:
            nonlocal asked
            case.validate_response(case.call(timeout=PATIENCE), checks=checks)
            asked += 1

        ask()
    assert asked > 20 * EXAMPLES
