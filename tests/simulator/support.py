"""Shared by the simulator's tests: the provider called directly, and raw HTTP over a socket."""

import asyncio
import json
from typing import Any

import attrs

from veo_async._wire.endpoints import endpoint_named
from veo_async.simulator import SimRequest, SimResponse, SimulatorSettings
from veo_async.simulator.faults.faulty_provider import FaultyProvider

START = 1_750_000_000.0
KEY = "dummy-key"
URL = "http://sim.test"
#: The smallest body of a generation.
REQUEST = {"prompt": "x", "model": "veo3_fast"}


@attrs.define
class Bench:
    """The provider, called directly, with a clock that only the test advances."""

    provider: FaultyProvider
    now: float = START

    def send(self, method: str, path: str, *, key: str | None = KEY, body: bytes = b"", **more: Any) -> SimResponse:
        headers = {**more.pop("headers", {}), **({"authorization": f"Bearer {key}"} if key is not None else {})}
        request = SimRequest(method=method, path=path, headers=headers, body=body, **more)
        return self.provider.respond(self.provider.receive(request, self.now), self.now)

    def request(self, endpoint: str, body: Any = None, *, key: str | None = KEY, **query: str) -> SimResponse:
        spec = endpoint_named(endpoint)
        content = b"" if body is None else json.dumps(body).encode()
        return self.send(spec.method, spec.path, key=key, body=content, query=query)

    def request_json(self, endpoint: str, body: Any = None, **more: Any) -> Any:
        return self.request(endpoint, body, **more).json()

    def generate(self, prompt: str = "a dog", **fields: Any) -> str:
        """Return the id of a new task."""
        response = self.request_json("generate", {"prompt": prompt, "model": "veo3_fast", **fields})
        assert response["code"] == 200, response
        return str(response["data"]["taskId"])

    def record(self, task_id: str) -> Any:
        return self.request_json("record-info", taskId=task_id)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def download(self, url: str, **headers: str) -> SimResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("GET", url.removeprefix(URL), key=None, headers=named)

    @property
    def credits(self) -> float:
        return self.provider.account("main").credits


def bench(**options: Any) -> Bench:
    """Return a provider without limits in which every task takes a minute. *options* override that."""
    settings = SimulatorSettings(**{"duration_s": 60.0, "max_running": None, "limiter": "none", **options})
    return Bench(FaultyProvider(settings, faults=settings.faults, api_key=KEY, started_at=START, base_url=URL))


async def raw_exchange(url: str, request: bytes, *, limit: int = 2**20) -> tuple[bytes, str]:
    """Send *request* over a socket; return the bytes received, and "closed", "reset" or "too long"."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    received = b""
    try:
        while len(received) < limit:
            chunk = await reader.read(65536)
            if not chunk:
                return received, "closed"
            received += chunk
        return received, "too long"
    except ConnectionResetError:
        return received, "reset"
    finally:
        writer.transport.abort()


def post_bytes(path: str, key: str, body: dict[str, Any]) -> bytes:
    """Return the bytes of a POST request."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


def get_bytes(path: str, key: str = "", **headers: str) -> bytes:
    """Return the bytes of a GET request."""
    lines = [f"GET {path} HTTP/1.1", "Host: sim", "Connection: close"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def parts_of(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Split a raw response into its status, its headers (names in lower case) and its body."""
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body
