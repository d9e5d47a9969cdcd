"""The filters by name, each with one line of help, for the command line and the API."""

from collections.abc import Mapping

FILTERS: Mapping[str, str] = {
    "start": "From this time on.",
    "end": "Before this time.",
    "duration": "So long (90s, 2h, 1d12h): from the start, or up to the end or now.",
    "peer": "Only this peer; a prefix stands for all peers in it.",
    "peer_asn": "Only peers in this AS: 64500, AS64500, 1.10.",
    "router": "Only peers that this router (BMP) or route collector (RIS Live) reports.",
    "rib": "Only this table of such a router: pre-policy, post-policy, local, ...",
    "origin": "Only routes that this AS originated.",
    "as_path": "Only AS paths that match this regular expression; _ as on Cisco routers.",
    "community": "Only with this community, standard, large or extended; * for any part.",
    "next_hop": "Only with this next hop.",
    "family": "Only this family: ipv4, ipv6, 'ipv4 mpls-vpn', ...",
    "elem": "Only these: announce, withdraw, session, table (of RIB dumps).",
    "med": "Only with this MULTI_EXIT_DISC.",
    "local_pref": "Only with this LOCAL_PREF.",
    "attribute": "Only with this attribute: otc, otc=64500, aigp, cluster-list=10.0.0.*, malformed, 250, ...",
    "prefix": "Only routes to this prefix.",
    "match": "Which prefixes are meant: exact, more_specific, less_specific.",
}
