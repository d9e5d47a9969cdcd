"""What changed between two times, route by route, and which origin ASes changed most: what a maintenance did.

    python examples/changed_between.py '2026-11-24 14:05:00' '2026-11-24 14:06:00'
    python examples/changed_between.py 2h 1h

Times are UTC; `2h` is two hours ago.
"""

import asyncio
import sys
from collections import Counter

from bgpledger import Archive, BgpledgerError


async def main(earlier: str, later: str) -> None:
    """Print the changes, then how many there are of each origin AS."""
    of_origin: Counter[str] = Counter()
    async with Archive.open() as archive, archive.diff(earlier, later) as changes:
        async for change in changes:
            before, after = (route.as_path if route else "none" for route in (change.before, change.after))
            print(f"{change.event:8}  {change.peer.address}  {change.prefix or change.object}  {before} -> {after}")
            of_origin[(change.route.as_path or "none").split()[-1]] += 1
        for note in changes.notes:
            print(note, file=sys.stderr)
    for origin, count in of_origin.most_common(10):
        print(f"{count:8} routes of AS {origin}")


try:
    asyncio.run(main(*sys.argv[1:]))
except BgpledgerError as error:
    sys.exit(f"{error.cause}\n{error.cure}")
