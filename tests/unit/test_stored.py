"""The types of stored documents have the fields of the models, and no others, and may lack the same ones."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest

from schemas import stored
from schemas.documents import Gap, Reject, Session, SessionNotification
from schemas.intent_documents import IntentDocument, IntentStateDocument, RefusalDocument
from schemas.intents import Intent, IntentState, Refusal
from schemas.message import ExabgpProcess, Message, OtherSource, Update
from schemas.peer import Peer
from schemas.snapshots import Snapshot, SnapshotPart

OF_DOCUMENTS = {"_id", "v", "collector"}
OF_PLACES = {*OF_DOCUMENTS, "session", "clock"}


def absences(model: Any) -> dict[str, bool]:
    """Each field, and whether it may be absent."""
    if is_dataclass(model):
        return {field.name: field.default is None for field in fields(model)}
    return {name: field.default is None for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("model", "document", "more"),
    [
        (Peer, stored.PeerDocument, set()),
        (ExabgpProcess, stored.SourceDocument, set()),
        (OtherSource, stored.OtherSourceDocument, set()),
        (SessionNotification, stored.NotificationDocument, set()),
        (Session, stored.SessionDocument, {"_id"}),
        (Gap, stored.GapDocument, {"_id"}),
        (Reject, stored.RejectDocument, {"_id"}),
        (SnapshotPart, stored.PartDocument, set()),
        (Snapshot, stored.SnapshotDocument, {"_id"}),
        (Update, stored.UpdateDocument, {*OF_PLACES, "origin_asns"}),
        (IntentState, IntentStateDocument, set()),
        (Refusal, RefusalDocument, {"_id", "v"}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_document_has_the_fields_of_its_model(model: Any, document: Any, more: set[str]) -> None:
    assert is_typeddict(document)
    may_be_absent = absences(model)
    found = {name for name in may_be_absent if name not in ("key", "kind", "id") or model is SnapshotPart}
    assert set(get_type_hints(document)) == found | more
    assert set(document.__optional_keys__) - more == {name for name in found if may_be_absent[name]}


def test_a_message_has_the_fields_of_all_kinds() -> None:
    kinds = [kind for kind in get_args(get_args(Message)[0]) if kind is not Update]
    names = [set(absences(kind)) for kind in kinds]
    assert set(get_type_hints(stored.MessageDocument)) == set().union(*names) | OF_PLACES
    common = set.intersection(*names)
    assert stored.MessageDocument.__required_keys__ == {"ts", *OF_DOCUMENTS, *common}


def test_an_intent_has_the_fields_of_its_model_and_its_prefix() -> None:
    fields_of_model = absences(Intent)
    assert set(get_type_hints(IntentDocument)) == {*fields_of_model, "_id", "v", "prefix"} - {"id"}
    assert set(IntentDocument.__optional_keys__) == {
        "asns",
        *(name for name, absent in fields_of_model.items() if absent),
    }
