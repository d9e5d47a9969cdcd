"""Settings: layers, inheritance, and errors that name file, key and cure."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collector.errors import ConfigurationError
from collector.settings.bgp import PeerSettings
from collector.settings.keys import keys, variables
from collector.settings.load import load
from collector.settings.model import Settings
from collector.settings.values import FAMILIES, split_endpoint
from tests.support import ROOT

EXAMPLE = ROOT / "conf/collector.toml"
PEER = '[bgp]\nlocal_as = 64512\n[[peers]]\naddress = "192.0.2.1"\nasn = 64500\n'


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "collector.toml"
    file.write_text(text)
    return file


def fault(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **options: object) -> str:
    """The message about settings that cannot be used: cause and cure."""
    with pytest.raises(ConfigurationError) as raised:
        load(write(tmp_path, text), environ=environ or {}, **options)  # type: ignore[arg-type]
    assert "\n" not in raised.value.cause + raised.value.cure
    assert raised.value.cure
    return f"{raised.value.cause} | {raised.value.cure}"


def uncommented() -> str:
    """The example with every key uncommented, without its prose."""
    lines = EXAMPLE.read_text().splitlines()
    return "\n".join(re.sub(r"^#(?=\[|[a-z_]+ = )", "", line) for line in lines)


# --- the example ------------------------------------------------------------------------------------------------------


def test_the_example_is_valid_and_changes_no_default(tmp_path: Path) -> None:
    assert load(EXAMPLE, environ={}) == load(None, environ={})


def test_the_example_is_valid_with_every_key_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^password_env = .*\n", "", uncommented(), flags=re.MULTILINE)  # one of the two
    text = re.sub(r"^(uri_file|peers|tcp|dns|command) = .*\n", "", text, flags=re.MULTILINE)
    settings = load(write(tmp_path, text), environ={})
    assert [peer.asn for peer in settings.peers] == [64500, 64501]
    assert settings.collector == "rrc00"


def test_the_example_has_every_key() -> None:
    tree = tomllib.loads(uncommented())
    for key in keys(Settings):
        section = tree
        for name in key[:-1]:
            section = section[name][0] if isinstance(section[name], list) else section[name]
        assert key[-1] in section, f"{'.'.join(key)} is missing in {EXAMPLE}"


WITHOUT_DEFAULT = {"local_as", "batch_lines", "router_id", "uri", "uri_file", "embedded", "limit_mib", "python"}


def test_the_example_shows_the_defaults() -> None:
    tree, defaults = tomllib.loads(uncommented()), load(None, environ={})
    for key in keys(Settings):
        if (
            key[0] in {"bgp", "mongodb", "exabgp", "spool", "archive", "rib", "retention", "log"}
            and key[1] not in WITHOUT_DEFAULT
        ):
            told, default = tree[key[0]][key[1]], getattr(getattr(defaults, key[0]), key[1])
            assert (tuple(told) if isinstance(told, list) else told) == default, key


# --- layers -----------------------------------------------------------------------------------------------------------


def test_command_line_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(tmp_path, '[bgp]\nlocal_as = 1\nhold_time = 30\nlisten = "127.0.0.1:1"\n[log]\nlevel = "error"\n')
    environ = {"BGPLEDGER_BGP_LOCAL_AS": "2", "BGPLEDGER_BGP_LISTEN": "127.0.0.1:2"}
    settings = load(file, environ=environ, listen="127.0.0.1:3")
    assert (settings.bgp.hold_time, settings.log.level) == (30, "error")
    assert (settings.bgp.local_as, settings.bgp.listen) == (2, "127.0.0.1:3")
    assert settings.bgp.graceful_restart == 120


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path, f'data_dir = "data"\n{PEER}password_file = "secret"\n'), environ={})
    assert settings.data_dir == tmp_path / "data"
    assert settings.peers[0].password_file == tmp_path / "secret"


def test_paths_on_the_command_line_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, environ={"BGPLEDGER_DATA_DIR": "one"}).data_dir == tmp_path / "one"
    assert load(None, environ={"BGPLEDGER_DATA_DIR": "one"}, data_dir=Path("two")).data_dir == tmp_path / "two"


def test_the_data_directory_follows_xdg() -> None:
    assert load(None, environ={"XDG_DATA_HOME": "/x"}).data_dir == Path("/x/bgpledger")
    assert load(None, environ={"XDG_DATA_HOME": "x", "HOME": "/h"}).data_dir == Path("/h/.local/share/bgpledger")


def test_every_setting_but_those_of_peers_has_a_variable() -> None:
    assert variables(Settings)["BGPLEDGER_MONGODB_URI"] == ("mongodb", "uri")
    assert variables(Settings)["BGPLEDGER_BGP_WIRE_BYTES"] == ("bgp", "wire_bytes")
    assert not [name for name in variables(Settings) if "PEERS" in name]


def test_a_list_in_a_variable_is_separated_by_commas() -> None:
    settings = load(None, environ={"BGPLEDGER_BGP_FAMILIES": "ipv4 unicast, l2vpn evpn"})
    assert settings.bgp.families == ("ipv4 unicast", "l2vpn evpn")


def test_peers_of_the_command_line_are_added_to_the_files_and_connect_to_us(tmp_path: Path) -> None:
    settings = load(write(tmp_path, PEER), environ={}, peers=["127.0.1.1,64501", "198.51.100.0/24,64502"])
    assert [(peer.address, peer.asn, peer.passive) for peer in settings.peers] == [
        ("192.0.2.1", 64500, False),
        ("127.0.1.1", 64501, True),
        ("198.51.100.0/24", 64502, True),
    ]


# --- peers ------------------------------------------------------------------------------------------------------------


def test_a_peer_inherits_what_it_does_not_set(tmp_path: Path) -> None:
    text = '[bgp]\nlocal_as = 64512\nhold_time = 90\nadd_path = true\n[[peers]]\naddress = "192.0.2.1"\nasn = 64500\n'
    one = load(write(tmp_path, text), environ={}).peers[0]
    assert (one.local_as, one.hold_time, one.add_path, one.graceful_restart) == (64512, 90, True, 120)
    other = load(write(tmp_path, f"{text}hold_time = 180\nadd_path = false\nlocal_as = 64513\n"), environ={}).peers[0]
    assert (other.local_as, other.hold_time, other.add_path) == (64513, 180, False)


def test_an_environment_variable_reaches_the_peers(tmp_path: Path) -> None:
    assert load(write(tmp_path, PEER), environ={"BGPLEDGER_BGP_HOLD_TIME": "9"}).peers[0].hold_time == 9


def test_ranges_are_passive_and_may_contain_a_configured_address(tmp_path: Path) -> None:
    text = f'{PEER}[[peers]]\naddress = "192.0.2.0/24"\nasn = 64501\n[[peers]]\naddress = "192.0.2.9/32"\nasn = 3\n'
    peers = load(write(tmp_path, text), environ={}).peers
    assert [(peer.address, peer.is_range, peer.passive) for peer in peers] == [
        ("192.0.2.1", False, False),
        ("192.0.2.0/24", True, True),
        ("192.0.2.9", False, False),
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[[peers]]\naddress = "192.0.2.1"\nasn = 5', r"peers\[1\]\.address 192\.0\.2\.1 is already peers\[0\]"),
        ('[[peers]]\naddress = "192.0.2.1/24"\nasn = 5', r"peers\[1\]\.address .* the range is 192\.0\.2\.0/24"),
        (
            '[[peers]]\naddress = "10.0.0.0/8"\nasn = 5\n[[peers]]\naddress = "10.1.0.0/16"\nasn = 5',
            r"peers\[2\]\.address 10\.1\.0\.0/16 overlaps peers\[1\]",
        ),
        ('[[peers]]\naddress = "10.0.0.0/8"\nasn = 5\npassive = false', r"peers\[1\]\.passive is false.*leave passive"),
        ('[[peers]]\naddress = "2001:db8::/64"\nasn = 5', r"peers\[1\]\.passive .*\[::\]:PORT"),
        ("passive = 3", r"peers\[0\]\.passive 3 is neither true nor false"),
        ('local_address = "2001:db8::1"', r"peers\[0\]\.local_address .* not of the family"),
        ('password_env = "A"\npassword_file = "b"', r"peers\[0\]\.password_env is given together with password_file"),
        ("ttl_security = 255", r"peers\[0\]\.ttl_security 255 .* 1 to 254"),
        ("port = 0", r"peers\[0\]\.port 0 "),
        ("pasive = true", r"peers\[0\]\.pasive is not a known key \| did you mean passive\?"),
        ('description = "a\\nb"', r"peers\[0\]\.description .*cannot be printed"),
        ('[[peers]]\naddress = "192.0.2.2"', r"peers\[1\]\.asn is missing"),
        ('[[peers]]\naddress = "router1"\nasn = 5', r"peers\[1\]\.address 'router1' is not an IPv4 or IPv6 address"),
    ],
)
def test_an_impossible_peer_is_refused(tmp_path: Path, more: str, says: str) -> None:
    assert re.search(says, fault(tmp_path, f"{PEER}{more}\n"))


def test_a_range_has_no_password(tmp_path: Path) -> None:
    text = '[bgp]\nlocal_as = 1\n[[peers]]\naddress = "10.0.0.0/8"\nasn = 5\npassword_env = "A"\n'
    assert "peers[0].password_env is given for a range" in fault(tmp_path, text)


@pytest.mark.parametrize("asn", [0, 23456, 65535, 4294967295, 4294967296, -1, "true", 1.5])
def test_as_numbers_that_no_router_may_use_are_refused(tmp_path: Path, asn: object) -> None:
    assert "bgp.local_as" in fault(tmp_path, f"[bgp]\nlocal_as = {asn}\n")


def test_our_as_number_is_needed_as_soon_as_there_are_peers(tmp_path: Path) -> None:
    said = fault(tmp_path, '[[peers]]\naddress = "192.0.2.1"\nasn = 64500\n')
    assert "bgp.local_as is missing" in said
    assert "--local-as" in said


# --- other values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[bgp]\nhold_time = 1", r"bgp\.hold_time 1 .*RFC 4271"),
        ("[bgp]\nhold_time = 65536", r"bgp\.hold_time 65536"),
        ('[bgp]\nfamilies = ["ipv4 unicats"]', r"bgp\.families has 'ipv4 unicats'"),
        ('[bgp]\nfamilies = ["all", "ipv4 unicast"]', r"bgp\.families has 'all' beside"),
        ("[bgp]\nfamilies = []", r"bgp\.families"),
        ('[bgp]\nrouter_id = "0.0.0.0"', r"bgp\.router_id .*RFC 6286"),
        ('[bgp]\nrouter_id = "::1"', r"bgp\.router_id .*is not an IPv4 address"),
        ('[bgp]\nlisten = "127.0.0.1"', r"bgp\.listen .*is not ADDR:PORT"),
        ('[bgp]\nlisten = "::1:179"', r"bgp\.listen .*brackets"),
        ("bgp = 3", r"bgp is not a table of keys"),
        ("peers = 3", r"peers is not a list"),
        ("bgpp = 3", r"bgpp is not a known key \| did you mean bgp\?"),
        ('[log]\nlevel = "loud"', r"log\.level 'loud'"),
        ('collector = ""', r"collector is empty"),
        ("[archive]\nbatch_seconds = -1", r"archive\.batch_seconds -1"),
        ("[spool]\nsegment_mib = 1.5", r"spool\.segment_mib 1\.5 is not a whole number"),
        ('[mongodb]\ndatabase = "a b"', r"mongodb\.database 'a b'"),
        (
            "[exabgp]\nprocesses = 0",
            r"exabgp\.processes 0 .* \| exabgp\.processes is the number of processes .*, 1 to 16",
        ),
        ("[exabgp]\nprocesses = 17", r"exabgp\.processes 17"),
        ("a =", r"is not TOML: .*line 1"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(tmp_path: Path, text: str, says: str) -> None:
    said = fault(tmp_path, f"{text}\n")
    assert re.search(says, said), said
    assert said.startswith(str(tmp_path / "collector.toml"))


ACTING = f'{PEER}group = "transit"\n[announce]\nprefixes = ["203.0.113.0/24 le 32"]\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[announce.static]\nprefix = "203.0.113.1/32"', r"announce\.static is not a list \| .*below \[\[NAME\]\]"),
        (
            '[[announce.static]]\nprefix = "198.51.100.0/24"\nwhy = "x"',
            r"announce\.static\[0\]\.prefix has 198\.51\.100\.0/24, which is not in announce\.prefixes",
        ),
        (
            '[[announce.static]]\nprefix = "203.0.113.1/32"\nwhy = "x"\npeers = ["192.0.2.9"]',
            r"announce\.static\[0\]\.peers has 192\.0\.2\.9, which is the address of no peer \| .* 192\.0\.2\.1$",
        ),
        ('[[policies]]\nname = "a"\npeers = ["192.0.2.9"]\nreject = true', r"policies\[0\]\.peers has 192\.0\.2\.9"),
        (
            '[[policies]]\nname = "a"\ngroup = "transt"\nreject = true',
            r"policies\[0\]\.group is 'transt', which no peer",
        ),
        ('[[policies]]\nname = "a!"\nmed = 1', r"policies\[0\]\.name 'a!' does not match .* \| .* letters, digits"),
        ('[[policies]]\nname = "a"\nnext_hop = "x"', r"policies\[0\]\.next_hop 'x' is neither self nor an IPv4 or"),
        ('[[policies]]\nname = "a"\nadd_communities = "x"', r"add_communities\[0\] 'x' is neither N:N nor one of .*"),
        ('[[checks]]\nname = "a"\nip = "198.51.100.1/32"', r"checks\[0\]\.ip has 198\.51\.100\.1/32, which is not in"),
        ('[[checks]]\nname = "a"\nip = "203.0.113.1/32"\ngroup = "x"', r"checks\[0\]\.group is 'x', which no peer"),
        ('[[checks]]\nname = "a"\nip = "203.0.113.1/32"\ncommand = 5', r"checks\[0\]\.command is not a text in quotes"),
        ('[[checks]]\nname = "a"\nip = "203.0.113.1/32"\nrise = 0', r"checks\[0\]\.rise 0 is less than 1, the minimum"),
    ],
)
def test_an_announcement_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, says: str) -> None:
    said = fault(tmp_path, f"{ACTING}{text}\n")
    assert re.search(says, said), said


def test_errors_name_where_the_value_is_set(tmp_path: Path) -> None:
    assert "environment variable BGPLEDGER_BGP_LOCAL_AS: bgp.local_as 'x'" in fault(
        tmp_path, environ={"BGPLEDGER_BGP_LOCAL_AS": "x"}
    )
    assert fault(tmp_path, listen="x").startswith("--listen: bgp.listen 'x'")
    assert fault(tmp_path, local_as=1, peers=["192.0.2.1,x"]).startswith("--peer 192.0.2.1,x: peers[0].asn 'x'")
    assert fault(tmp_path, peers=["192.0.2.1"]).startswith("--peer '192.0.2.1' is not ADDR,AS")


def test_an_unknown_variable_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    assert "BGPLEDGER_BGP_LOCAL_AS" in fault(tmp_path, environ={"BGPLEDGER_BGP_LOCALAS": "1"})


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.toml cannot be read: No such file"):
        load(tmp_path / "missing.toml", environ={})
    (tmp_path / "latin.toml").write_bytes(b'collector = "\xe9"')
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(tmp_path / "latin.toml", environ={})


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    uri = "mongodb://user:s3cret@db.example.net/"
    settings = load(None, environ={"BGPLEDGER_MONGODB_URI": uri})
    assert settings.mongodb.uri is not None
    assert settings.mongodb.uri.get_secret_value() == uri
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "text",
    [
        '[mongodb]\nuri = "postgres://user:s3cret@db/"',
        '[mongodb]\nuri = ["s3cret"]',
        'mongodb = "mongodb://user:s3cret@db/"',
        '[mongodb]\npassword = "s3cret"',
        '[mongodb]\ndatabase = "mongodb://user:s3cret@db/"',
        f'{PEER}password = "s3cret"',
        f'{PEER}password_env = "s3cret word"',
        f'{PEER}password_file = ["s3cret"]',
    ],
)
def test_an_error_shows_no_secret(tmp_path: Path, text: str) -> None:
    assert "s3cret" not in fault(tmp_path, f"{text}\n")


def test_pydantic_itself_shows_no_secret() -> None:
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({"mongodb": {"uri": "postgres://user:s3cret@db/"}})
    assert "s3cret" not in str(raised.value)


def test_a_uri_may_come_from_a_file(tmp_path: Path) -> None:
    uri = "mongodb://user:s3cret@db.example.net/"
    (tmp_path / "secret").write_text(f"{uri}\n")
    file = write(tmp_path, '[mongodb]\nuri_file = "secret"\n')
    for settings in (
        load(file, environ={}),
        load(None, environ={"BGPLEDGER_MONGODB_URI_FILE": str(tmp_path / "secret")}),
        load(None, environ={}, mongodb_uri_file=tmp_path / "secret"),
    ):
        assert settings.mongodb.uri is not None
        assert settings.mongodb.uri.get_secret_value() == uri
        assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_the_highest_layer_that_names_a_store_wins(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mongodb://file/")
    by_file = write(tmp_path, '[mongodb]\nuri_file = "secret"\n')
    above = load(by_file, environ={"BGPLEDGER_MONGODB_URI": "mongodb://above/"})
    assert above.mongodb.uri is not None
    assert above.mongodb.uri.get_secret_value() == "mongodb://above/"
    above = load(None, environ={"BGPLEDGER_MONGODB_URI": "mongodb://x/"}, mongodb_uri_file=tmp_path / "secret")
    assert above.mongodb.uri is not None
    assert above.mongodb.uri.get_secret_value() == "mongodb://file/"


def test_a_uri_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    both = '[mongodb]\nuri = "mongodb://user:s3cret@db/"\nuri_file = "secret"\n'
    assert "collector.toml: mongodb.uri_file is given together with mongodb.uri | keep one of them" in fault(
        tmp_path, both
    )
    assert "--mongodb-uri-file: mongodb.uri_file is given together with" in fault(
        tmp_path, mongodb_uri="mongodb://db/", mongodb_uri_file=tmp_path / "secret"
    )
    assert "secret cannot be read: No such file" in fault(tmp_path, '[mongodb]\nuri_file = "secret"\n')
    (tmp_path / "secret").write_text("s3cret")
    said = fault(tmp_path, '[mongodb]\nuri_file = "secret"\n')
    assert f"{tmp_path / 'secret'}: mongodb.uri does not begin with mongodb://" in said
    assert "s3cret" not in said
    (tmp_path / "secret").write_bytes(b"s3cret\xe9")
    assert "is not UTF-8" in fault(tmp_path, '[mongodb]\nuri_file = "secret"\n')
    assert "mongodb.uri_file" in fault(tmp_path, "[mongodb]\nuri_file = 1\n")


# --- properties -------------------------------------------------------------------------------------------------------


@given(st.one_of(st.ip_addresses().map(str)), st.integers(1, 65535))
def test_an_endpoint_keeps_its_address_and_port(address: str, port: int) -> None:
    text = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    settings = Settings.model_validate({"bgp": {"listen": text}})
    assert split_endpoint(settings.bgp.listen) == split_endpoint(text)
    assert Settings.model_validate({"bgp": {"listen": settings.bgp.listen}}) == settings


@given(st.text())
def test_any_text_for_an_endpoint_is_accepted_or_refused(text: str) -> None:
    try:
        listen = Settings.model_validate({"bgp": {"listen": text}}).bgp.listen
    except ValidationError:
        return
    assert split_endpoint(listen)[1] > 0


@given(st.lists(st.sampled_from(FAMILIES), min_size=1, unique=True))
def test_families_are_kept_in_order_whatever_their_case(families: list[str]) -> None:
    peer = PeerSettings.model_validate({"address": "192.0.2.1", "asn": 1, "families": [f.upper() for f in families]})
    assert list(peer.families) == families


@given(st.text())
def test_any_text_for_an_address_is_accepted_or_refused(text: str) -> None:
    try:
        peer = PeerSettings.model_validate({"address": text, "asn": 1})
    except ValidationError:
        return
    assert peer.network.num_addresses == 1 or peer.passive


# --- who may ask over HTTP --------------------------------------------------------------------------------------------


def test_http_is_on_for_this_machine_only() -> None:
    http = load(None, environ={}).http
    assert (http.url, http.is_local, http.asks_for_tokens) == ("http://127.0.0.1:8480/", True, False)
    assert not load(None, environ={"BGPLEDGER_HTTP_LISTEN": "off"}).http.is_on
    assert load(None, environ={}, http="[::1]:80").http.url == "http://[::1]:80/"


@pytest.mark.parametrize("listen", ["0.0.0.0:8480", "[::]:8480", "192.0.2.1:8480"])
def test_http_for_other_machines_requires_tls_and_tokens(tmp_path: Path, listen: str) -> None:
    section = f'[http]\nlisten = "{listen}"\n'
    assert "tls_cert" in fault(tmp_path, section)
    assert "tls_key" in fault(tmp_path, f'{section}tls_cert = "a.pem"\n')
    own = load(write(tmp_path, f'{section}tls_cert = "a.pem"\ntls_key = "a.key"\n'), environ={}).http
    assert own.asks_for_tokens
    assert (own.tls_cert, own.tls_key) == (tmp_path / "a.pem", tmp_path / "a.key")
    assert load(write(tmp_path, f"{section}behind_tls = true\n"), environ={}).http.asks_for_tokens


def test_hosts_are_names(tmp_path: Path) -> None:
    assert load(None, environ={"BGPLEDGER_HTTP_HOSTS": "bgp.example.net, LG"}).http.hosts == ("bgp.example.net", "lg")
    assert "not a host name" in fault(tmp_path, '[http]\nhosts = ["http://x"]\n')
