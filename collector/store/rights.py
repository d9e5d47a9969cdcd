"""Tries each command that the archive uses, changing nothing, to see what the server and the user's rights allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from collector.store.driver import Document
from collector.store.preparing import grant

_PLACE = "meta"
# The names of MongoDB's error_codes.yml.
_ALREADY_SO = (26, 27, 48)  # NamespaceNotFound, IndexNotFound, NamespaceExists: the command would have been allowed
_UNAUTHORIZED = 13
_REFUSALS = {
    _UNAUTHORIZED: "the user has no right to",
    59: "the server does not know",  # CommandNotFound
    115: "the server does not support",  # CommandNotSupported
    238: "the server does not support",  # NotImplemented
    303: "the server does not support",  # Amazon DocumentDB's equivalent
}
_DURABLE = {"w": "majority", "j": True}


class _Trial(NamedTuple):
    """A command, and its purpose."""

    command: Document
    role: str
    """The built-in role that includes it."""
    without: str
    """What does not work without it; empty if nothing works."""


class Missing(NamedTuple):
    """A command that cannot be used."""

    needed: bool
    """Whether nothing can be stored without it."""
    says: str
    cure: str


async def missing(database: AsyncDatabase[Document]) -> Sequence[Missing]:
    """Try each command that collectors use on a database; returns those that are refused.

    Raises:
        OperationFailure: a command fails for another reason.
    """
    refused: dict[tuple[int, str, str], list[str]] = {}
    for trial in _trials(ObjectId()):
        try:
            await database.command(trial.command)
        except OperationFailure as error:
            if error.code in _REFUSALS:
                refused.setdefault((error.code, trial.role, trial.without), []).append(next(iter(trial.command)))
            elif error.code not in _ALREADY_SO:
                raise
    return [_missing(database.name, commands, *facts) for facts, commands in refused.items()]


def _missing(database: str, commands: Sequence[str], code: int, role: str, without: str) -> Missing:
    says = f"{_REFUSALS[code]} {', '.join(commands)} on database {database}"
    if code == _UNAUTHORIZED:
        cure = f"as its administrator: {grant(role, database)}"
    else:
        cure = "none is needed" if without else "use MongoDB 6 or newer"
    return Missing(not without, f"{says}: {without}" if without else says, cure)


def _trials(key: ObjectId) -> Sequence[_Trial]:
    """The commands, in an order that leaves no document behind."""
    this = {"_id": key}
    index = {"key": {"_id": 1}, "name": "_id_"}

    def needed(command: Document) -> _Trial:
        return _Trial(command, "readWrite", "")

    return [
        needed({"insert": _PLACE, "documents": [{**this, "doctor": True}], "writeConcern": _DURABLE}),
        needed({"find": _PLACE, "filter": this, "readConcern": {"level": "majority"}}),
        needed({"update": _PLACE, "updates": [{"q": this, "u": {"$set": {"doctor": True}}}], "writeConcern": _DURABLE}),
        needed({"delete": _PLACE, "deletes": [{"q": this, "limit": 1}], "writeConcern": _DURABLE}),
        needed({"listCollections": 1, "nameOnly": True}),
        needed({"create": _PLACE}),
        needed({"listIndexes": _PLACE}),
        needed({"createIndexes": _PLACE, "indexes": [index]}),
        _Trial({"dropIndexes": _PLACE, "index": "none"}, "readWrite", "[retention] cannot be switched off"),
        _Trial(
            {"collMod": _PLACE, "validator": {}},
            "dbAdmin",
            "an upgrade leaves validators as they are, and to change [retention] its index has to be dropped by hand",
        ),
    ]
