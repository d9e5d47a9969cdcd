"""What is said of the stored notes is what is in them."""

from dataclasses import fields

from collector.archive.gaps import GapState
from collector.archive.tracker_state import PeerState, TrackerState
from schemas.notes import GapsNote, PeerNote, TrackerNote


def test_notes_have_the_fields_of_the_states_that_they_are_made_of() -> None:
    assert [*TrackerNote.__annotations__] == [field.name for field in fields(TrackerState)]
    assert [*GapsNote.__annotations__] == [field.name for field in fields(GapState)]
    assert {*PeerNote.__annotations__} <= {field.name for field in fields(PeerState)}
