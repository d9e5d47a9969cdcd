"""exabgp.conf as ExaBGP itself reads it, with no statement that the settings do not ask for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ConfigurationError
from collector.settings.model import Settings
from collector.settings.values import FAMILIES
from collector.sources.exabgp.configuration import MASKED, render
from collector.sources.exabgp.local_ends import listening_places, unchecked_peers
from collector.sources.exabgp.program import environment

EXABGP = Path(sys.executable).with_name("exabgp")
HELPER = [sys.executable, "receive", "--data-dir", "/a directory/{with}; #all"]


def settings(*peers: dict[str, Any], **bgp: Any) -> Settings:
    """Settings with passive peers, of 127.0.0.N unless they say otherwise."""
    return Settings.model_validate(
        {
            "bgp": {"local_as": 65000, "router_id": "10.0.0.2", **bgp},
            "peers": [
                {"address": f"127.0.0.{20 + number}", "asn": 65020 + number, "passive": True, **peer}
                for number, peer in enumerate(peers)
            ],
        }
    )


def statements(text: str) -> list[str]:
    """The statements of the neighbours, as split by ExaBGP's own tokeniser."""
    from exabgp.configuration.core.format import tokens  # type: ignore[import-untyped]  # it has no types

    return [" ".join(word for _line, _column, word in parsed) for parsed in tokens(text.split("\n")) if parsed]


def validate(tmp_path: Path, ours: Settings) -> None:
    file = tmp_path / "exabgp.conf"
    file.write_text(render(ours, HELPER))
    done = subprocess.run(
        [EXABGP, "validate", "-n", file], env=environment(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for peer in ours.peers:
        assert f"✓ neighbor  {peer.address}" in done.stdout + done.stderr


def test_exabgp_accepts_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "pass; word } # { [of] eighty" + "x" * 52)
    (tmp_path / "password").write_text("secret\n")
    validate(
        tmp_path,
        settings(
            {"families": list(FAMILIES)},
            {"families": ["all"], "add_path": True},
            {"families": ["ipv4 mpls-vpn", "ipv6 mpls-vpn", "ipv4 nlri-mpls", "ipv6 nlri-mpls"]},
            {"families": ["l2vpn evpn"], "hold_time": 0, "graceful_restart": 0, "wire_bytes": True},
            {"address": "127.0.0.64/27"},
            {"password_env": "PASSWORD"},
            {"password_file": tmp_path / "password", "local_as": 4200000000, "asn": 4200000001},
            {"passive": False, "port": 1179, "ttl_security": 1, "local_address": "127.0.0.9"},
            {"address": "::1", "passive": False},
            {"description": 'Bob\'s "router"; } neighbor 127.0.0.1 { \\ é'},
            {"passive": False, "hold_time": 65535, "graceful_restart": 4095},
        ),
    )


def test_exabgp_accepts_a_configuration_without_peers(tmp_path: Path) -> None:
    validate(tmp_path, settings())


def test_the_file_has_a_statement_for_each_setting() -> None:
    found = statements(render(settings({"add_path": True}, hold_time=90, listen="127.0.0.1:1790"), HELPER))
    for statement in (
        f"run {' '.join(HELPER)} ;",
        "respawn true ;",
        "neighbor 127.0.0.20 {",
        "router-id 10.0.0.2 ;",
        "local-address 127.0.0.1 ;",
        "hold-time 90 ;",
        "listen 1790 ;",
        "passive ;",
        "adj-rib-in false ;",
        "adj-rib-out false ;",
        "graceful-restart 120 ;",
        "add-path receive ;",
        "aigp enable ;",
        "ipv4 unicast ipv6 ;",
        "parsed ;",
        "neighbor-changes ;",
    ):
        assert statement in found
    assert "consolidate ;" not in found


@pytest.mark.parametrize(
    ("families", "offered"),
    [
        (["ipv4 unicast", "ipv6 unicast"], {"ipv4 unicast ipv6 ;"}),
        (["ipv4 unicast", "ipv4 mpls-vpn", "ipv6 mpls-vpn"], {"ipv4 mpls-vpn ipv6 ;"}),
        (["ipv4 unicast"], set()),
        # With it, ExaBGP would no longer read EVPN's next hops.
        (["ipv4 unicast", "ipv6 unicast", "l2vpn evpn"], set()),
        (["all"], set()),
    ],
)
def test_ipv6_next_hops_are_offered_if_that_does_no_harm(families: list[str], offered: set[str]) -> None:
    found = statements(render(settings({"families": families}), HELPER))
    assert {one for one in found if one.endswith(" ipv6 ;")} == offered


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=40).filter(str.isprintable))
def test_a_description_adds_no_statement(text: str) -> None:
    plain = statements(render(settings({}), HELPER))
    described = statements(render(settings({"description": text}), HELPER))
    assert len(described) == len(plain) + bool(text)
    assert [one for one in described if not one.startswith("description ")] == plain


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=80))
def test_a_password_is_written_exactly_or_refused(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PASSWORD", text)
        ours = settings({"password_env": "PASSWORD"})
        if {"'", '"', "\\"} & set(text):
            with pytest.raises(ConfigurationError, match="cannot be given to ExaBGP"):
                render(ours, HELPER)
        else:
            assert f"md5-password {text} ;" in statements(render(ours, HELPER))


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_passwords_can_be_masked_even_if_their_files_are_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "s3cret")
    ours = settings({"password_env": "PASSWORD"})
    assert "s3cret" in render(ours, HELPER)
    shown = render(ours, HELPER, show_secrets=False)
    assert "s3cret" not in shown
    assert MASKED in shown


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "1 to 80"),
        (b"x" * 81, "1 to 80"),
        (b"s3cret\xff", "not UTF-8"),
        (b"a\nb", "1 to 80"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        render(settings({"password_file": file}), HELPER)
    said = raised.value.cause + raised.value.cure
    assert says in said
    assert "127.0.0.20" in said
    assert "s3cret" not in said


def test_a_password_variable_that_is_not_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASSWORD", raising=False)
    with pytest.raises(ConfigurationError, match="PASSWORD is not set"):
        render(settings({"password_env": "PASSWORD"}), HELPER)


# --- the helper and the environment -----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ['/a"b', "/a'b", "/a\\b", "/a\nb", "/é"])
def test_a_helper_path_that_exabgp_cannot_start_is_refused(word: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot start a receiver"):
        render(settings({}), [sys.executable, word])


def test_exabgp_gets_no_secrets_and_no_options_of_others() -> None:
    assert "s3cret" not in str(
        environment({"EDGE_PASSWORD": "s3cret", "BGPLEDGER_MONGODB_URI": "mongodb://a:s3cret@b/"})
    )
    found = environment({"exabgp.daemon.user": "nobody", "exabgp_tcp_port": "1", "EXABGP_ETC": "/x", "PATH": "/bin"})
    assert found["PATH"] == "/bin"
    assert found["exabgp_api_terminate"] == "true"
    assert not {"exabgp.daemon.user", "exabgp_tcp_port", "EXABGP_ETC"} & found.keys()


# --- where it listens -------------------------------------------------------------------------------------------------


def test_peers_share_the_address_that_we_listen_on() -> None:
    assert listening_places(settings({}, {}, listen="127.0.0.1:1790")) == {("127.0.0.1", 1790): None}


def test_a_local_address_is_listened_on_as_well() -> None:
    ours = settings({}, {"local_address": "127.0.0.9"}, listen="127.0.0.1:1790")
    assert listening_places(ours).keys() == {("127.0.0.1", 1790), ("127.0.0.9", 1790)}


def test_all_addresses_means_those_that_we_use_towards_each_peer() -> None:
    ours = settings({}, {"address": "::1", "passive": False}, listen="[::]:1790")
    assert listening_places(ours).keys() == {("127.0.0.1", 1790), ("::1", 1790)}
    ours = settings({}, {"address": "::1", "passive": False}, listen="0.0.0.0:1790")
    assert listening_places(ours).keys() == {("127.0.0.1", 1790)}


def test_a_peer_that_cannot_reach_the_listen_address_is_refused() -> None:
    # A machine without any route cannot reach that peer at all.
    with pytest.raises(ConfigurationError, match=r"peer 203\.0\.113\.1"):
        render(settings({"address": "203.0.113.1"}, listen="127.0.0.1:1790"), HELPER)


# --- TTL security -----------------------------------------------------------------------------------------------------


def test_a_socket_checks_the_ttl_if_all_its_peers_agree() -> None:
    ours = settings({"ttl_security": 2}, {"ttl_security": 2}, listen="127.0.0.1:1790")
    assert listening_places(ours) == {("127.0.0.1", 1790): 254}
    assert not unchecked_peers(ours)
    assert statements(render(ours, HELPER)).count("incoming-ttl 254 ;") == 2


def test_a_peer_whose_ttl_differs_from_others_is_connected_to_only() -> None:
    ours = settings({}, {"ttl_security": 1, "passive": False}, listen="127.0.0.1:1790")
    assert listening_places(ours) == {("127.0.0.1", 1790): None}
    assert [peer.address for peer in unchecked_peers(ours)] == ["127.0.0.21"]
    found = statements(render(ours, HELPER))
    assert found.count("listen 1790 ;") == 1
    assert found.count("incoming-ttl 255 ;") == 1


def test_such_a_peer_cannot_be_passive() -> None:
    with pytest.raises(ConfigurationError, match=r"ttl_security of peer 127\.0\.0\.21 .* peer 127\.0\.0\.20"):
        render(settings({}, {"ttl_security": 1}), HELPER)
    render(settings({}, {"ttl_security": 1, "local_address": "127.0.0.9"}), HELPER)
