"""Extended communities in words."""

from __future__ import annotations

import re

import pytest
from exabgp.bgp.message.update.attribute.community.extended import (  # type: ignore[import-untyped]  # it has no types
    ExtendedCommunity,
)
from hypothesis import given
from hypothesis import strategies as st

from collector.query.communities import parse_community
from schemas.extended import WORDS, extended_words


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0002fbf400000064", "target:64500:100"),
        ("4002fbf400000064", "target:64500:100"),
        ("0102c00002010064", "target:192.0.2.1:100"),
        ("0202000100000064", "target:65536:100"),
        ("0003fbf400000064", "origin:64500:100"),
        ("4004fbf44cee6b28", "link-bandwidth:64500:1Gbps"),
        ("0004fbf447435000", "link-bandwidth:64500:400kbps"),
        ("4004000000000000", "link-bandwidth:0:0bps"),
        ("4004fbf47f800000", "link-bandwidth:64500:infTbps"),
        ("4004fbf47fc00000", "link-bandwidth:64500:nanbps"),
        ("030b000000000064", "color:100"),
        ("030b400000000064", "color:100:co1"),
        ("4300000000000000", "origin-validation-state:valid"),
        ("4300000000000001", "origin-validation-state:not-found"),
        ("4300000000000002", "origin-validation-state:invalid"),
        ("4300000000000009", "origin-validation-state:9"),
        ("030c000000000008", "encapsulation:vxlan"),
        ("030c00000000004d", "encapsulation:77"),
        ("030d000000000000", "default-gateway"),
        ("030600000001010a", "ospf-route-type:0.0.0.1:1:10"),
        ("0600000000000007", "mac-mobility:7"),
        ("0600010000000007", "mac-mobility:7:sticky"),
        ("0601000000000640", "esi-label:100:all-active"),
        ("0601010000000640", "esi-label:100:single-active"),
        ("0602001122334455", "es-import-target:00-11-22-33-44-55"),
        ("060302005e000001", "router-mac:02-00-5e-00-00-01"),
        ("8006fbf400000000", "traffic-rate-bytes:64500:0"),
        ("800600004b3ebc20", "traffic-rate-bytes:0:12500000"),
        ("800cfbf4c2c80000", "traffic-rate-packets:64500:0"),
        ("8007000000000003", "traffic-action:sample-terminal"),
        ("8008fbf400000064", "redirect:64500:100"),
        ("8208000100000064", "redirect:65536:100"),
        ("80090000000000ee", "traffic-marking:46"),
        ("0009fbf400000000", "source-as:64500:0"),
        ("010bc00002010064", "vrf-route-import:192.0.2.1:100"),
        ("000220010db80000000000000000000000010064", "target:2001:db8::1:100"),
        ("4099000000000000", "as:printed"),
        ("", "as:printed"),
        ("zz", "as:printed"),
    ],
)
def test_extended_communities_have_text_forms(digits: str, words: str) -> None:
    assert extended_words(digits, "as printed") == words


def test_hexadecimal_of_exabgp_is_not_a_text_form() -> None:
    assert extended_words("9999000000000000", "0x9999000000000000") == ""


@given(st.binary(min_size=8, max_size=8) | st.binary(min_size=20, max_size=20), st.just("") | st.just("a b"))
def test_any_bytes_have_one_text_form_that_filters_accept(said: bytes, printed: str) -> None:
    words = extended_words(said.hex(), printed)
    assert re.fullmatch(r"\S*", words)
    if words and not printed:
        parse_community(words)


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("code", sorted(ExtendedCommunity.registered_extended))
def test_every_text_form_of_exabgp_begins_with_a_known_word(code: tuple[int, int], flag: int) -> None:
    """ExaBGP looks only at the lower half of a type."""
    for high in range(16):
        said = bytes([code[0] | high << 4, code[1], 0, 0, 0, 0, 0, flag])
        words = extended_words(said.hex(), repr(ExtendedCommunity.unpack(said)))
        assert not words or words.split(":")[0] in WORDS
