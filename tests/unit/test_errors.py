"""A failure that a user can mend is one error, however many tasks it ended."""

import ast
import asyncio
from pathlib import Path

import pytest

from collector.errors import CollectorError, ReplayError, SpoolError, one_error
from tests.support import ROOT

FILES = sorted(ROOT.glob("collector/**/*.py"))


async def fail(error: Exception) -> None:
    raise error


async def together(*errors: Exception) -> None:
    with one_error():
        async with asyncio.TaskGroup() as group:
            for error in errors:
                group.create_task(fail(error))


async def test_the_first_of_several_is_raised() -> None:
    with pytest.raises(CollectorError, match="port") as raised:
        await together(CollectorError("the port is taken", "another"), SpoolError("locked"))
    assert raised.value.cure == "another"
    assert raised.value.__suppress_context__


async def test_nested_groups_become_one_error() -> None:
    with pytest.raises(ReplayError):
        await together(ExceptionGroup("an inner one", [ReplayError("refused")]))


async def test_a_bug_keeps_its_group() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await together(ReplayError("refused"), ZeroDivisionError())
    assert raised.value.subgroup(ZeroDivisionError)
    assert raised.value.subgroup(ReplayError)


async def test_a_single_error_is_unchanged() -> None:
    with pytest.raises(KeyError), one_error():
        raise KeyError


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_raised_under_except_star(file: Path) -> None:
    """Python 3.11.2 of Debian 12 wraps such an error in a group; newer versions do not, so no test there shows it."""
    for tried in ast.walk(ast.parse(file.read_text())):
        if isinstance(tried, ast.TryStar):
            raised = [one for handler in tried.handlers for one in ast.walk(handler) if isinstance(one, ast.Raise)]
            assert not raised, f"{file}:{raised[0].lineno}"


def test_a_task_group_is_within_one_error() -> None:
    """Errors of several stages must become one; for a nested task group the outer one sees to that."""
    for file in FILES:
        text = file.read_text()
        if "TaskGroup() as" in text:
            assert "with one_error():" in text, file
