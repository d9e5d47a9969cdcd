"""Watch your prefixes: report when an AS other than yours originates one of them, or a more specific one.

    python examples/watch_prefixes.py 64500 203.0.113.0/24 2001:db8::/32
    python examples/watch_prefixes.py 64500 203.0.113.0/24 --since 24h

It ends with Ctrl-C. Lines of a peer that were lost are told as well: they may hide such an announcement.
"""

import argparse
import asyncio
import sys

from bgpledger import Archive, BgpledgerError, parse_filter


async def watch(asn: str, prefixes: list[str], since: str | None) -> None:
    """Print a line for each announcement of others, and for each gap, which may hide one; until Ctrl-C."""
    mine = {"prefix": ",".join(prefixes), "match": "more_specific"}
    theirs = parse_filter({**mine, "elem": "announce", "origin": f"!{asn}", "start": since})
    async with Archive.open() as archive, archive.tail(theirs) as entries:
        async for entry in entries:
            when = f"{entry.ts:%F %T} {entry.peer.address}"
            if entry.event == "gap":
                print(f"{when} lines were lost: nobody knows what they said ({entry.reason})", flush=True)
            else:
                print(f"{when} announces {entry.prefix} by {entry.as_path}", flush=True)


parser = argparse.ArgumentParser()
parser.add_argument("asn")
parser.add_argument("prefixes", nargs="+")
parser.add_argument("--since", help="begin in the past")
arguments = parser.parse_args()
try:
    asyncio.run(watch(arguments.asn, arguments.prefixes, arguments.since))
except KeyboardInterrupt:
    pass
except BgpledgerError as error:
    sys.exit(f"{error.cause}\n{error.cure}")
