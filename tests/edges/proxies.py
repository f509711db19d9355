"""A proxy in its own process, which counts what goes through it, and a TLS server in front of a simulator."""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator

import attrs
import trustme

#: Forwards plain requests, and tunnels every name to one port of this machine. Prints a line for each request, with the
#: headers that contain a password or a key.
PROGRAM = """
import asyncio, sys

tls_port = int(sys.argv[1])

async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()

async def serve(reader, writer):
    try:
        head = await reader.readuntil(b"\\r\\n\\r\\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
        return
    line, _, rest = head.partition(b"\\r\\n")
    method, target, _ = line.decode().split()
    logins = [text for text in rest.decode("latin1").split("\\r\\n") if "authorization:" in text.lower()]
    print(method, target, *logins, flush=True)
    if method == "CONNECT":
        upstream = await asyncio.open_connection("127.0.0.1", tls_port)
        writer.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    else:
        authority, _, path = target.removeprefix("http://").partition("/")
        host, _, port = authority.partition(":")
        upstream = await asyncio.open_connection(host, int(port))
        kept = [text for text in rest.split(b"\\r\\n") if not text.lower().startswith((b"proxy-", b"connection:"))]
        kept.insert(0, b"Connection: close")
        upstream[1].write(f"{method} /{path} HTTP/1.1\\r\\n".encode() + b"\\r\\n".join(kept))
    await asyncio.gather(pipe(reader, upstream[1]), pipe(upstream[0], writer))

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@attrs.define
class Proxy:
    """The running proxy."""

    port: int
    process: asyncio.subprocess.Process
    #: Request lines, each with its ``Authorization`` headers; complete when the block has ended.
    lines: list[str] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self, *words: str) -> list[str]:
        """Return the requests whose line contains all *words*."""
        return [line for line in self.lines if all(word in line for word in words)]


@contextlib.asynccontextmanager
async def proxy_process(tls_port: int = 0) -> AsyncIterator[Proxy]:
    """Run the proxy; every name is tunneled to *tls_port*."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(tls_port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    proxy = Proxy(int(await process.stdout.readline()), process)
    try:
        yield proxy
    finally:
        process.kill()
        output, _ = await process.communicate()
        proxy.lines.extend(output.decode().splitlines())


@contextlib.asynccontextmanager
async def tls_in_front_of(port: int, *names: str) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """Serve TLS for *names* and pass everything to *port*; yield the port, and a context that trusts the server."""
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(tls)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    tasks: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection("127.0.0.1", port)
        for source, target in ((reader, upstream[1]), (upstream[0], writer)):
            task = asyncio.create_task(pipe(source, target), name="relay")
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], trust
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
