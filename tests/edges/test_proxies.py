"""API calls, uploads and downloads go through the proxy, or none of them does; a custom CA holds for all three."""

import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.sessions import session_arguments
from veo_async import VeoSession, errors
from veo_async._api.routes import Routes
from veo_async.media import Saver
from veo_async.settings import Network
from veo_async.simulator import Simulator

from .proxies import Proxy, proxy_process, tls_in_front_of
from .raw_server import Visit, http, raw_server

pytestmark = pytest.mark.realtime

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c626001000000ffff03000006000557bfabd40000000049454e44ae426082"
)
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def on(sim: Simulator, url: str = "", **options: Any) -> VeoSession:
    return VeoSession(sim.api_key, **session_arguments(base_url=url or sim.url, poll_every=0.1, **options))


async def use_everything(veo: VeoSession, folder: Path) -> None:
    """Upload an image, create a clip from it, poll its task and save it."""
    clip = await veo.generate("A dog", image=PNG, save_to=f"{folder}/dog.mp4")
    assert clip.files


def kinds(proxy: Proxy) -> set[str]:
    """Return which kinds of requests went through *proxy*."""
    of = {"upload": "upload", "/generate": "create", "record-info": "poll", ".mp4": "download"}
    return {kind for part, kind in of.items() if proxy.requests(part)}


@pytest.mark.parametrize("by", ["environment", "argument"])
async def test_all_plain_requests_go_through_the_proxy(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY suffices; ``proxy=`` needs no variable."""
    async with Simulator(duration_s=0.1) as sim:
        async with proxy_process() as proxy:
            if by == "environment":
                monkeypatch.setenv("HTTP_PROXY", proxy.url)
            async with on(sim, **({} if by == "environment" else {"proxy": proxy.url})) as veo:
                await use_everything(veo, tmp_path)
        assert kinds(proxy) == {"upload", "create", "poll", "download"}
        assert len(proxy.requests("/generate")) == len(sim.requests_to()) == 1


@pytest.mark.parametrize("by", ["NO_PROXY", "trust_env=False"])
async def test_no_request_goes_through_the_proxy(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY names the host, or the session does not read the environment."""
    async with Simulator(duration_s=0.1) as sim:
        async with proxy_process() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            if by == "NO_PROXY":
                monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
            async with on(sim, **({} if by == "NO_PROXY" else {"trust_env": False})) as veo:
                await use_everything(veo, tmp_path)
        assert proxy.lines == []


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_tls_goes_through_a_tunnel_with_a_custom_ca(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that only the proxy can resolve, with a certificate of the caller's authority."""
    async with (
        Simulator(duration_s=0.1) as sim,
        tls_in_front_of(int(sim.url.rpartition(":")[2]), "api.veo.test", "files.veo.test") as (port, trust),
    ):
        sim._provider.files.base_url = "https://files.veo.test"
        async with proxy_process(port) as proxy:
            monkeypatch.setenv(variable, proxy.url)
            async with on(sim, "https://api.veo.test", ssl=trust) as veo:
                await use_everything(veo, tmp_path)
        assert {line.split()[1] for line in proxy.lines} == {"api.veo.test:443", "files.veo.test:443"}
        assert {line.split()[0] for line in proxy.lines} == {"CONNECT"}


async def test_custom_ca_holds_without_a_proxy(tmp_path: Path) -> None:
    """For API calls, uploads and downloads; without it the server is not trusted and nothing is sent."""
    async with (
        Simulator(duration_s=0.1) as sim,
        tls_in_front_of(int(sim.url.rpartition(":")[2]), "127.0.0.1") as (port, trust),
    ):
        url = sim._provider.files.base_url = f"https://127.0.0.1:{port}"
        async with on(sim, url, ssl=trust) as veo:
            await use_everything(veo, tmp_path)
        async with on(sim, url) as veo:
            with pytest.raises(errors.NotSent, match="certificate"):
                await veo.account.balance()


@pytest.mark.slow
async def test_password_of_a_proxy_is_sent_to_the_proxy_and_never_shown(tmp_path: Path) -> None:
    """It is part of the URL; neither a ``repr`` nor an error contains it."""
    async with Simulator(duration_s=0.1) as sim:
        async with proxy_process() as proxy:
            network = Network(proxy=proxy.url.replace("//", "//me:S3CRET@"))
            async with VeoSession(sim.api_key, base_url=sim.url, network=network) as veo:
                await use_everything(veo, tmp_path)
        assert len(proxy.requests("Basic bWU6UzNDUkVU")) == len(proxy.lines)
        assert "S3CRET" not in repr(network)
        assert proxy.url.removeprefix("http://") in repr(network)
        assert [seen for seen in sim.requests if "proxy-authorization" in seen.headers] == []
        async with VeoSession(sim.api_key, base_url=sim.url, network=network) as veo:  # the proxy is gone
            with pytest.raises(errors.NotSent, match="proxy") as caught:
                await veo.account.balance()
        assert "S3CRET" not in f"{caught.value!r}{caught.value}"


@pytest.mark.parametrize(
    "value", ["me:S3CRET@proxy", "socks5://me:S3CRET@proxy:1", "http://me:S3CRET@", "http://me:S3CRET@x:y", 7, ""]
)
def test_wrong_proxy_is_rejected_without_its_password(value: Any) -> None:
    """Only HTTP proxies are supported."""
    with pytest.raises(errors.UsageError, match=r"proxy=.*http://") as caught:
        Network(proxy=value)
    assert "S3CRET" not in str(caught.value)


def test_unsupported_proxy_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Going around a proxy silently would be worse."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:S3CRET@proxy:1080")
    with pytest.raises(errors.UsageError, match=r"HTTPS_PROXY.*trust_env=False") as caught:
        VeoSession("kie_0123456789abcdef")
    assert "S3CRET" not in str(caught.value)
    VeoSession("kie_0123456789abcdef", network=Network(trust_env=False))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "169.254.169.254", "localhost", "x.localhost", "metadata", "nas.local", "2130706433", "0x7f.1"],
)
async def test_private_name_is_not_requested_through_a_proxy(host: str, tmp_path: Path) -> None:
    """Only the proxy resolves names, so a name that can only be private is refused."""
    async with (
        proxy_process() as proxy,
        Saver(base_url="https://api.test", routes=Routes(URL(proxy.url))) as downloads,
    ):
        with pytest.raises(errors.DownloadFailed, match="private network"):
            await downloads.save([f"https://{host}/x.mp4"], tmp_path, name="d")
    assert proxy.lines == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_not_requested_through_another_one(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a proxy elsewhere it would be the proxy's machine, and the key would travel there in plain text."""
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    routes = Routes()
    assert routes.proxy_for(URL(f"http://{host}:8000/api")) is None
    assert routes.proxy_for(URL("http://files.example/api")) == URL("http://proxy.example:3128")
    assert routes.proxy_for(URL("https://files.example/api")) is None


async def test_refusal_of_a_proxy_means_that_nothing_was_sent(tmp_path: Path) -> None:
    """The proxy demands a login: the job's request never reached the provider."""

    async def behave(visit: Visit) -> None:
        await visit.read_head()
        await visit.send(http(b"", status="407 Proxy Authentication Required"))

    async with raw_server(behave) as server:
        network = Network(proxy=server.url)
        async with VeoSession("kie_0123456789abcdef", base_url="https://api.veo.test", network=network) as veo:
            with pytest.raises(errors.NotSent, match=r"proxy.*407"):
                await veo.api.generate("A dog")
            with pytest.raises(errors.NotSent, match=r"proxy.*407"):
                await veo.account.balance()


async def test_netrc_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its passwords go neither to the API nor to files, also with the caller's HTTP session."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password S3CRET\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with Simulator(duration_s=0.1) as sim, aiohttp.ClientSession(trust_env=True) as own:
        async with proxy_process() as proxy:
            for number, http_session in enumerate((None, own)):
                async with on(sim, http=http_session, proxy=proxy.url) as veo:
                    await use_everything(veo, tmp_path / str(number))
        assert proxy.requests("Basic") == []
        assert len(proxy.requests("/generate", f"Bearer {sim.api_key}")) == 2
        assert proxy.requests("GET", ".mp4", "uthorization") == []


@pytest.mark.parametrize("kind", ["proxy", "trust_env"])
async def test_proxy_of_the_callers_session_holds_for_downloads(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own settings count, not those of `Network`."""
    async with Simulator(duration_s=0.1) as sim:
        async with proxy_process() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url if kind == "trust_env" else "http://127.0.0.1:9")
            options: dict[str, Any] = {"proxy": proxy.url} if kind == "proxy" else {"trust_env": True}
            async with aiohttp.ClientSession(**options) as own, on(sim, http=own) as veo:
                await use_everything(veo, tmp_path)
        assert kinds(proxy) == {"upload", "create", "poll", "download"}


async def test_callers_session_without_a_proxy_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ignores the environment, so the downloads do, too."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with Simulator(duration_s=0.1) as sim, aiohttp.ClientSession() as own, on(sim, http=own) as veo:
        await use_everything(veo, tmp_path)


async def test_connector_that_we_do_not_know_is_an_error_that_says_why(tmp_path: Path) -> None:
    """A SOCKS connector, for example: downloads would go around it."""

    class Socks(aiohttp.TCPConnector):
        pass

    async with (
        Simulator(duration_s=0.1) as sim,
        aiohttp.ClientSession(connector=Socks()) as own,
        on(sim, http=own) as veo,
    ):
        clip = await veo.generate("A dog")
        with pytest.raises(errors.UsageError, match=r"Socks.*proxy="):
            await veo.save(clip, tmp_path / "dog.mp4")


def test_ssl_that_is_no_context_is_rejected() -> None:
    """False would switch the verification off."""
    for value in (False, "ca.pem"):
        with pytest.raises(errors.UsageError, match=r"ssl=.*SSLContext"):
            Network(ssl=value)  # type: ignore[arg-type]
    assert Network(ssl=ssl.create_default_context())
