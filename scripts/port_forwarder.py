"""Forwards connections from an address and port to another port on this machine: ADDRESS PORT TO_PORT."""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def main(address: str, port: str, to_port: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection('localhost', int(to_port))
        await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))

    server = await asyncio.start_server(connected, address, int(port))
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
