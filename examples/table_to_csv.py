"""The table of a peer at a time as CSV, with the columns that you choose, for a spreadsheet or another program.

    python examples/table_to_csv.py 192.0.2.1 '2026-11-24 14:05' >table.csv

`bgpledger rib --format csv` has all columns.
"""

import asyncio
import csv
import sys

from bgpledger import Archive, BgpledgerError, parse_filter

COLUMNS = ("prefix", "next_hop", "as_path", "origin_as", "communities", "since", "state")


async def main(peer: str, at: str) -> None:
    """Write a row for each route, as it is read: a table of a million routes needs no more memory than a small one."""
    table = csv.writer(sys.stdout)
    table.writerow(COLUMNS)
    async with Archive.open() as archive, archive.rib(filters=parse_filter({"peer": peer}), at=at) as routes:
        async for route in routes:
            path = route.as_path or ""
            communities = " ".join(route.communities or ())
            since = route.since.isoformat(timespec="milliseconds")
            origin = path.rpartition(" ")[2]
            table.writerow((route.prefix, route.next_hop, path, origin, communities, since, route.state))
        for note in routes.notes:
            print(note, file=sys.stderr)


try:
    asyncio.run(main(*sys.argv[1:]))
except BgpledgerError as error:
    sys.exit(f"{error.cause}\n{error.cure}")
