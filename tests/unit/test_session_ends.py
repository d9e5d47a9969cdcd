"""Every reason that ExaBGP gives for the end of a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.sources.exabgp.session_ends import explain, notification_of
from schemas.documents import SessionNotification
from schemas.message import ExabgpProcess, Notification, Sent
from schemas.peer import Peer
from schemas.scalars import from_unix

COMMON = {
    "ts": from_unix(1.8e9),
    "source": ExabgpProcess(pid=1, counter=1),
    "peer": Peer(address="192.0.2.1", asn=64500),
}


def received(code: int, subcode: int, data: bytes = b"", text: str | None = None, **more: bytes) -> Notification:
    return Notification.model_validate(
        {**COMMON, "code": code, "subcode": subcode, "data": data.hex().upper(), "text": text, **more}
    )


@pytest.mark.parametrize(
    ("reason", "by", "words"),
    [
        ("closing connection", "peer", "the TCP connection was closed or lost"),
        ("peer reset, message (closing connection) error(lost)", "peer", "the TCP connection was closed or lost"),
        ("", "exabgp", "ExaBGP failed at a message of this session (its log has the exception)"),
        (None, "exabgp", "ExaBGP failed at a message of this session (its log has the exception)"),
        ("process problem", "collector", "ExaBGP could not write to its receiver"),
        (
            "graceful restarted negotiated, closing without sending any notification",
            "collector",
            "the peer's configuration was changed",
        ),
        ("notification sent (6,3)", "collector", "NOTIFICATION sent: Cease / Peer De-configured"),
        ("stop, message [removed]", "collector", "the peer was removed from the configuration"),
        ("stop, message [shutting down]", "collector", "ExaBGP was shut down"),
        ("stop, message [of a later version]", "collector", "stop, message [of a later version]"),
        ("notification sent (4,0)", "exabgp", "NOTIFICATION sent: Hold Timer Expired"),
        ("notification sent (1, 0)", "exabgp", "NOTIFICATION sent: Message Header Error"),
        ("notification received (6,10)", "peer", "NOTIFICATION received: Cease / BFD Down"),
        ("notification received (6,7)", "peer", "NOTIFICATION received: Cease / Connection Collision Resolution"),
        (
            "peer reset, message (notification received (2,11)) error(x)",
            "peer",
            "NOTIFICATION received: OPEN Message Error / Role Mismatch",
        ),
        ("a word of a\x1b later version", "exabgp", "a word of a later version"),
    ],
)
def test_an_end_has_its_cause_and_its_reason(reason: str | None, by: str, words: str) -> None:
    assert explain(reason)[:2] == (by, words)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (received(6, 4, text='Shutdown Communication: "for \u00fcpgrade"'), "Administrative Reset: for \u00fcpgrade"),
        (
            received(6, 4, text=f"invalid Shutdown Communication (too large) length : 200 [0x{200 * '78'}]"),
            f"Administrative Reset: {200 * 'x'}",
        ),
        (received(6, 2, text="empty Shutdown Communication."), "Administrative Shutdown"),
        (received(6, 2, text="as ExaBGP says", wire=b"\xff" * 19 + b"\6\2\5hello"), "Administrative Shutdown: hello"),
        (received(6, 9, b"\6\2\3abc"), "Hard Reset: Cease / Administrative Shutdown: abc"),
        (received(6, 1, b"\0\2\1\0\0\0\7"), "Maximum Number of Prefixes Reached: ipv6 unicast, 7 prefixes"),
    ],
)
def test_the_data_of_a_notification_are_part_of_the_reason(message: Notification, words: str) -> None:
    reason = explain(f"notification received ({message.code},{message.subcode})", notification_of(message)).reason
    assert reason == f"NOTIFICATION received: Cease / {words}"


def test_exabgps_own_words_follow_the_name_unless_they_are_the_name() -> None:
    def sent(code: int, subcode: int, data: bytes) -> str:
        said = {"code": code, "subcode": subcode, "data": "0x" + data.hex().upper(), "message": "as ExaBGP prints it"}
        message = Sent.model_validate({**COMMON, "category": "notification", "detail": {"notification": said}})
        return explain(f"notification sent ({code},{subcode})", notification_of(message)).reason

    words = "ASN in OPEN (64999) did not match ASN expected (64501)"
    assert sent(2, 2, words.encode()) == f"NOTIFICATION sent: OPEN Message Error / Bad Peer AS: {words}"
    name = b"Receive Unexpected Message in OpenConfirm State"
    assert sent(5, 2, name) == f"NOTIFICATION sent: Finite State Machine Error / {name.decode()}"
    assert sent(1, 2, b"\x00\xff") == "NOTIFICATION sent: Message Header Error / Bad Message Length"


def test_another_notification_does_not_explain_this_end() -> None:
    other = SessionNotification(direction="received", code=6, subcode=2, data="0568656c6c6f")
    assert explain("notification received (6,4)", other).reason.endswith("Administrative Reset")
    assert explain("closing connection", other).notification is None


@given(st.text(), st.integers(0, 255), st.integers(0, 255), st.text(), st.text())
def test_no_line_from_outside_raises(reason: str, code: int, subcode: int, data: str, text: str) -> None:
    said = {"code": code, "subcode": subcode, "data": data}
    messages = (
        Notification.model_validate({**COMMON, **said, "text": text}),
        Sent.model_validate({**COMMON, "category": "notification", "detail": {"notification": said}}),
        Sent.model_validate({**COMMON, "category": "notification", "detail": {"notification": {"code": code}}}),
    )
    for message in messages:
        for word in (reason, f"notification received ({code},{subcode})", f"notification sent ({code},{subcode})"):
            assert explain(word, notification_of(message)).reason.isprintable()
