"""Row 77: no answer of anybody's makes us ask a machine that is not public, by any spelling or any detour."""

import ipaddress
import socket
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from tests.edges.raw_server import Visit, http, raw_server
from veo_async.errors import DownloadFailed
from veo_async.media import Saver
from veo_async.media.connections import open_http_session
from veo_async.media.failures import AttemptFailed
from veo_async.media.urls import check_url, host_of, may_connect, redirect_url, without_query

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
def test_private_addresses_are_refused(address: str) -> None:
    """Row 77: in every family and every disguise, as a number and in a URL."""
    assert not may_connect(address, allow_loopback=False)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(AttemptFailed, match="refused"):
        check_url(f"https://{host}/x.mp4", allow_loopback=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    """The rest of the world."""
    assert may_connect(address, allow_loopback=False)


@given(st.ip_addresses())
def test_nothing_passes_that_is_not_global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Whatever passes is global; loopback is a matter of permission."""
    if may_connect(str(ip), allow_loopback=False):
        assert ip.is_global or (isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped)
        assert not ip.is_loopback


def test_loopback_needs_permission() -> None:
    """Where the API is on this machine, and only loopback then."""
    assert [may_connect(each, allow_loopback=True) for each in ("127.0.0.1", "::1", "::ffff:127.0.0.1")] == [True] * 3
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
def test_urls_that_are_not_asked(url: str) -> None:
    """Plain http, other schemes, passwords, and what is no URL."""
    with pytest.raises(AttemptFailed, match="refused"):
        check_url(url, allow_loopback=True)


def test_a_redirect_is_looked_at_like_an_address() -> None:
    """Relative ones are of the same host; downgrades and private hosts are refused."""
    assert redirect_url("https://a.test/x/y", "../z?q=1", allow_loopback=False) == "https://a.test/z?q=1"
    for location in ("http://a.test/", "https://127.0.0.1/", "https://[::ffff:a9fe:a9fe]/", "https://[", "file:///x"):
        with pytest.raises(AttemptFailed, match="refused"):
            redirect_url("https://a.test/", location, allow_loopback=False)
    with pytest.raises(AttemptFailed, match="nowhere"):
        redirect_url("https://a.test/", None, allow_loopback=False)


def test_what_is_shown_of_a_url() -> None:
    """No user, no query, no fragment."""
    assert without_query("https://u:p@h.test:1/x?y#z") == "https://h.test:1/x"
    assert without_query("https://[") == ""
    assert host_of("https://u:p@H.test:1/x?y#z") == "h.test"
    assert [host_of(each) for each in ("https://[", "x", None)] == [""] * 3


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
async def test_redirects_into_private_networks_are_refused(location: str, tmp_path: Path) -> None:
    """Row 77: nothing is asked there, and the message tells no query."""
    answer = http(b"", status="302 Found", headers=(f"Location: {location}?sig=SECRET",))
    seen: list[bytes] = []
    async with raw_server(serving(answer, seen=seen)) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="refused") as caught:
            await downloads.save([f"{server.url}/x?sig=SECRET"], tmp_path, name="d")
    assert len(seen) == 1
    assert "SECRET" not in f"{caught.value!r}{caught.value}"
    assert list(tmp_path.iterdir()) == []


async def test_redirects_are_followed_three_times(tmp_path: Path) -> None:
    """Row 77: the fourth is one too many; no request holds the key, a cookie or what a cookie asked for."""
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


async def test_no_password_of_netrc_and_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 77: nothing of the environment goes along."""
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
    """Answers what it is told to, one after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=0)
            for each in found
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_means_a_private_address_is_refused(tmp_path: Path) -> None:
    """Row 77: an honest name, a public URL, and an address at home."""
    resolver = Rebinding(["127.0.0.1", "169.254.169.254"])
    async with Saver(base_url="https://api.test", resolver=resolver) as downloads:
        with pytest.raises(DownloadFailed, match="private network"):
            await downloads.save(["https://files.test/x.mp4"], tmp_path, name="d")
    assert resolver.asked == 1


async def test_a_name_that_changes_its_meaning_gains_nothing() -> None:
    """Row 77, rebinding: even a resolver that is believed cannot open a socket to a private address."""
    seen: list[bytes] = []
    async with raw_server(serving(video(), seen=seen)) as server, open_http_session(allow_loopback=False) as pool:
        assert pool.connector is not None
        pool.connector._resolver = Rebinding(["127.0.0.1"])  # type: ignore[attr-defined]  # past our own resolver
        with pytest.raises(OSError, match="private network"):
            await pool.get(f"http://files.test:{server.port}/x")
    assert seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])
async def test_a_literal_passes_no_resolver_and_is_refused_all_the_same(host: str) -> None:
    """Row 77: numbers in a URL are checked where the socket is made."""
    seen: list[bytes] = []
    async with raw_server(serving(video(), seen=seen)) as server, open_http_session(allow_loopback=False) as pool:
        with pytest.raises((OSError, ValueError)):
            await pool.get(f"http://{host}:{server.port}/x")
    assert seen == []


async def test_loopback_results_are_refused_when_the_api_is_elsewhere(tmp_path: Path) -> None:
    """Row 77: the permission comes from the API's own address."""
    async with raw_server(serving(video())) as server, Saver(base_url="https://api.test") as downloads:
        with pytest.raises(DownloadFailed, match="refused"):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")
        with pytest.raises(DownloadFailed, match="refused"):
            await downloads.save([f"https://127.0.0.1:{server.port}/x"], tmp_path, name="d")


async def test_the_address_of_the_api_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does for the session."""
    async with raw_server(serving(video())) as server:
        monkeypatch.setenv("VEO_BASE_URL", server.url)
        async with Saver() as downloads:
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")
