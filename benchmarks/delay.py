"""A TCP proxy on loopback that hands everything on so much later, each way: `python -m benchmarks.delay PORT SECONDS`.

It prints the port that it listens on. Bytes are delayed, not slowed down: as many are on their way as come.
"""

from __future__ import annotations

import asyncio
import sys

_CHUNK = 2**16


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while (item := await waiting.get())[1]:
            await asyncio.sleep(item[0] - loop.time())
            writer.write(item[1])
            await writer.drain()
        writer.close()

    delivering = asyncio.create_task(deliver())
    while data := await reader.read(_CHUNK):
        waiting.put_nowait((loop.time() + seconds, data))
    waiting.put_nowait((0, b""))
    await delivering


async def _serve(port: int, seconds: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, back, seconds), _pass_on(there, writer, seconds), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
