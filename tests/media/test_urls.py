"""No response can make us send a request to a private address, in any spelling or by any redirect (row 77)."""

import ipaddress
import socket
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from tests.edges.raw_server import Visit, http, raw_server
from veo_async._wire.hosts import may_connect
from veo_async.errors import DownloadFailed
from veo_async.media import Saver
from veo_async.media.connections import open_http_session
from veo_async.media.failures import AttemptFailed
from veo_async.media.urls import check_url, host_of, redirect_url, without_query

from .support import WHOLE, saver, serving, video

PRIVATE = [
    "0.0.0.0",  # noqa: S104  # nothing is bound here
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.9.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "64:ff9b::a9fe:a9fe",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_is_refused(address: str) -> None:
    """Private addresses are refused in IPv4 and IPv6, in every notation, on their own and in a URL."""
    assert not may_connect(address, allow_loopback=False)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(AttemptFailed, match="refusing"):
        check_url(f"https://{host}/x.mp4", allow_loopback=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_allowed(address: str) -> None:
    """Public addresses are allowed, also in IPv6 notation."""
    assert may_connect(address, allow_loopback=False)


@given(st.ip_addresses())
def test_address_that_is_allowed_is_global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Without the permission for loopback, only global addresses are allowed."""
    if may_connect(str(ip), allow_loopback=False):
        assert ip.is_global or (isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped)
        assert not ip.is_loopback


def test_loopback_is_allowed_only_with_permission() -> None:
    """The permission covers loopback addresses and no other private addresses."""
    assert all(may_connect(address, allow_loopback=True) for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"))
    assert not may_connect("10.0.0.1", allow_loopback=True)
    assert not may_connect("localhost", allow_loopback=True)
    assert check_url("http://localhost:1/x", allow_loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x.mp4",
        "ftp://example.com/x.mp4",
        "file:///etc/passwd",
        "//example.com/x",
        "https://",
        "https://user:password@example.com/x",
        "https://example.com:x/",
        "https://[::1",
        "https://example.com/\n",
        "https://example.com/a b",
        "",
    ],
)
def test_unsafe_or_invalid_url_is_refused(url: str) -> None:
    """Plain http, other schemes, credentials and malformed URLs are refused."""
    with pytest.raises(AttemptFailed, match="refusing"):
        check_url(url, allow_loopback=True)


def test_redirect_target_is_checked_like_a_url() -> None:
    """Relative targets are joined to the URL; downgrades to http and private hosts are refused."""
    assert redirect_url("https://a.test/x/y", "../z?q=1", allow_loopback=False) == "https://a.test/z?q=1"
    for location in ("http://a.test/", "https://127.0.0.1/", "https://[::ffff:a9fe:a9fe]/", "https://[", "file:///x"):
        with pytest.raises(AttemptFailed, match="refusing"):
            redirect_url("https://a.test/", location, allow_loopback=False)
    with pytest.raises(AttemptFailed, match="without a target"):
        redirect_url("https://a.test/", None, allow_loopback=False)


def test_shown_url_contains_no_secret() -> None:
    """Credentials, query and fragment are removed."""
    assert without_query("https://u:p@h.test:1/x?y#z") == "https://h.test:1/x"
    assert without_query("https://[") == ""
    assert host_of("https://u:p@H.test:1/x?y#z") == "h.test"
    assert [host_of(url) for url in ("https://[", "x", None)] == [""] * 3


@pytest.mark.parametrize(
    "location",
    [
        "https://169.254.169.254/latest",
        "http://example.com/x.mp4",
        "https://10.0.0.1/",
        "https://0.0.0.0/",
        "http://[::]/",
    ],
)
async def test_redirect_to_private_network_is_refused(location: str, tmp_path: Path) -> None:
    """No request is sent to the target, and the message does not contain the query."""
    redirect = http(b"", status="302 Found", headers=(f"Location: {location}?sig=SECRET",))
    seen: list[bytes] = []
    async with raw_server(serving(redirect, seen=seen)) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="refusing") as caught:
            await downloads.save([f"{server.url}/x?sig=SECRET"], tmp_path, name="d")
    assert len(seen) == 1
    assert "SECRET" not in f"{caught.value!r}{caught.value}"
    assert list(tmp_path.iterdir()) == []


async def test_at_most_three_redirects_are_followed(tmp_path: Path) -> None:
    """The fourth redirect fails the download. No request contains the API key or a cookie."""
    seen: list[bytes] = []

    async def behave(visit: Visit) -> None:
        head = await visit.read_head()
        seen.append(head)
        left = int(head.split(b" ")[1].removeprefix(b"/"))
        headers = (f"Location: /{left - 1}", "Set-Cookie: a=b")
        await visit.send(http(b"", status="307 Temporary Redirect", headers=headers) if left else video())

    async with raw_server(behave) as server, saver() as downloads:
        await downloads.save([f"{server.url}/3"], tmp_path, name="good")
        with pytest.raises(DownloadFailed, match="more than 3"):
            await downloads.save([f"{server.url}/4"], tmp_path, name="bad")
    assert (tmp_path / "good.mp4").read_bytes() == WHOLE
    assert not [head for head in seen if b"authorization" in head.lower() or b"cookie" in head.lower()]


async def test_netrc_and_proxy_variables_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads use no credentials and no proxy from the environment."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password SECRET\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    seen: list[bytes] = []
    async with raw_server(serving(video(), seen=seen)) as server, saver() as downloads:
        await downloads.save([f"{server.url}/x"], tmp_path / "out", name="d")
    assert b"authorization" not in seen[0].lower()


class Rebinding(AbstractResolver):
    """Resolves every name to one list of addresses after the other; the last one is repeated."""

    def __init__(self, *results: list[str]) -> None:
        self.results = list(results)
        self.calls = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.calls += 1
        addresses = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        pass


async def test_name_that_resolves_to_private_addresses_is_refused(tmp_path: Path) -> None:
    """A public-looking URL is refused if its host resolves to private addresses only."""
    resolver = Rebinding(["127.0.0.1", "169.254.169.254"])
    async with Saver(base_url="https://api.test", resolver=resolver) as downloads:
        with pytest.raises(DownloadFailed, match="private network"):
            await downloads.save(["https://files.test/x.mp4"], tmp_path, name="d")
    assert resolver.calls == 1


async def test_dns_rebinding_opens_no_socket_to_a_private_address() -> None:
    """The address is checked when the socket is created, even if the resolver did not check it."""
    seen: list[bytes] = []
    async with raw_server(serving(video(), seen=seen)) as server, open_http_session(allow_loopback=False) as pool:
        assert pool.connector is not None
        pool.connector._resolver = Rebinding(["127.0.0.1"])  # type: ignore[attr-defined]  # bypasses the resolver that checks
        with pytest.raises(OSError, match="private network"):
            await pool.get(f"http://files.test:{server.port}/x")
    assert seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])
async def test_private_address_in_url_is_refused_without_a_resolver(host: str) -> None:
    """Numeric hosts bypass the resolver and are checked when the socket is created."""
    seen: list[bytes] = []
    async with raw_server(serving(video(), seen=seen)) as server, open_http_session(allow_loopback=False) as pool:
        with pytest.raises((OSError, ValueError)):
            await pool.get(f"http://{host}:{server.port}/x")
    assert seen == []


async def test_loopback_is_refused_when_the_api_is_not_on_loopback(tmp_path: Path) -> None:
    """Videos may be on this machine only if the base URL of the API is."""
    async with raw_server(serving(video())) as server, Saver(base_url="https://api.test") as downloads:
        with pytest.raises(DownloadFailed, match="refusing"):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")
        with pytest.raises(DownloadFailed, match="refusing"):
            await downloads.save([f"https://127.0.0.1:{server.port}/x"], tmp_path, name="d")


async def test_base_url_is_read_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``base_url=``, the saver uses the same variables as the session."""
    async with raw_server(serving(video())) as server:
        monkeypatch.setenv("VEO_BASE_URL", server.url)
        async with Saver() as downloads:
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")
