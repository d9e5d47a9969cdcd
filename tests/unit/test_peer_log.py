"""What the log says about peers in trouble, and how often."""

import pytest

from collector.archive.peer_log import PeerLog
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from tests.support import Router


class Log:
    """Troubles under a fake clock, and what was logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 1000.0
        self.troubles = PeerLog(EXABGP, lambda: self.now)
        self._caplog = caplog

    def take(self, *lines: bytes, in_session: bool = False) -> list[str]:
        self._caplog.clear()
        for line in lines:
            message = decode(line)
            assert not isinstance(message, Rejection)
            self.troubles.follow(message, in_session=in_session)
        assert {record.levelname for record in self._caplog.records} <= {"WARNING"}
        return self._caplog.messages


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def test_the_end_of_a_session_is_logged_with_its_reason(log: Log) -> None:
    router = Router(start=1.8e9)
    said = log.take(*router.up(), router.down("notification sent (4,0)"), in_session=True)
    assert said == [
        "peer 192.0.2.1 (AS 64500) went down at 2027-01-15 08:00:01 UTC: NOTIFICATION sent: Hold Timer Expired"
    ]


def test_what_is_wrong_in_an_open_is_logged(log: Log) -> None:
    router = Router()
    words = "ASN in OPEN (64999) did not match ASN expected (64500)"
    sent = {"code": 2, "subcode": 2, "data": "0x" + words.encode().hex(), "message": words}
    lines = [
        router.line("notification", direction="send", notification=sent),
        router.down("notification sent (2,2)"),
    ]
    (said,) = log.take(*lines)
    assert "did not come up" in said
    assert said.endswith(f"NOTIFICATION sent: OPEN Message Error / Bad Peer AS: {words}")


def test_the_same_reason_is_logged_again_after_ten_minutes_with_a_count(log: Log) -> None:
    router = Router()
    assert len(log.take(*[router.down() for _ in range(1000)])) == 1
    log.now += 599
    assert log.take(router.down()) == []
    log.now += 2
    (said,) = log.take(router.down())
    assert said.endswith("the TCP connection was closed or lost (and 1000 more times since the last warning)")


def test_a_new_reason_is_logged_at_once_but_alternating_ones_are_not(log: Log) -> None:
    router = Router()
    log.take(router.down())
    assert log.take(*[router.down(f"notification received (6,{at % 2 + 1})") for at in range(100)]) == []
    log.now += 11
    (said,) = log.take(router.down("notification received (6,5)"))
    assert "Cease / Connection Rejected (and 100 more times" in said


def test_each_peer_is_logged(log: Log) -> None:
    assert len(log.take(*[Router(f"192.0.2.{at}").down() for at in range(5)])) == 5


def test_ends_that_we_caused_are_no_trouble(log: Log) -> None:
    router = Router()
    assert log.take(*router.up(), router.down("stop, message [shutting down]")) == []
