"""The types of what is read are those of what is written: each field of a model, and no other, with its absence."""

from typing import Any, get_args, get_type_hints, is_typeddict

import pytest
from pydantic import BaseModel

from schemas import stored
from schemas.attributes import Attributes, ExtendedCommunity, UnknownAttribute
from schemas.documents import Gap, Reject, Session, SessionNotification, Snapshot, SnapshotPart
from schemas.message import Announced, Message, Peer, Source, Update

OF_DOCUMENTS = {"_id", "v", "collector"}
OF_PLACES = {*OF_DOCUMENTS, "session", "clock"}


@pytest.mark.parametrize(
    ("model", "document", "more"),
    [
        (Peer, stored.PeerDocument, set()),
        (Source, stored.SourceDocument, set()),
        (Announced, stored.GroupDocument, set()),
        (ExtendedCommunity, stored.CommunityDocument, set()),
        (UnknownAttribute, stored.UnknownDocument, set()),
        (Attributes, stored.AttributesDocument, set()),
        (SessionNotification, stored.NotificationDocument, set()),
        (Session, stored.SessionDocument, {"_id"}),
        (Gap, stored.GapDocument, {"_id"}),
        (Reject, stored.RejectDocument, {"_id"}),
        (SnapshotPart, stored.PartDocument, set()),
        (Snapshot, stored.SnapshotDocument, {"_id"}),
        (Update, stored.UpdateDocument, {*OF_PLACES, "origin_asns"}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_document_has_the_fields_of_its_model(model: type[BaseModel], document: Any, more: set[str]) -> None:
    assert is_typeddict(document)
    fields = {name for name in model.model_fields if name not in ("key", "kind") or model is SnapshotPart}
    assert set(get_type_hints(document)) == fields | more
    may_be_absent = {name for name, field in model.model_fields.items() if field.default is None}
    assert set(document.__optional_keys__) - more == may_be_absent | ({"text"} & fields)


def test_a_message_has_the_fields_of_all_kinds() -> None:
    kinds = [kind for kind in get_args(get_args(Message)[0]) if kind is not Update]
    fields = {name for kind in kinds for name in kind.model_fields}
    assert set(get_type_hints(stored.MessageDocument)) == fields | OF_PLACES
    common = set.intersection(*({*kind.model_fields} for kind in kinds))
    assert stored.MessageDocument.__required_keys__ == {"ts", *OF_DOCUMENTS, *common}
