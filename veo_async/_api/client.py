"""`VeoApi`: one coroutine per endpoint, exactly one HTTP request each.

It neither retries nor waits. The session is built on it, and it is also a simple client for callers who want to decide
everything themselves. Requests are validated before they are sent; responses become values or errors with evidence.
"""

import base64
import os
import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import aiohttp

from veo_async._base.checks import reject
from veo_async._base.run_blocking import run_blocking
from veo_async._ports import Transport
from veo_async._wire import (
    JOBS,
    VEO,
    Accepted,
    AnyRequest,
    Credits,
    Dialect,
    DownloadLink,
    ExtendRequest,
    HdVideo,
    HttpResponse,
    Record,
    Route,
    RouteName,
    UpgradeRequest,
    Upload,
    UpscaledVideo,
    VideoRequest,
    check,
    dialect_named,
    endpoints,
    route_named,
)
from veo_async._wire.converter import from_dict
from veo_async._wire.images import with_image
from veo_async._wire.requests import ExtendOptions, VideoOptions
from veo_async._wire.retry_after import server_time
from veo_async._wire.task_ids import is_plausible_task_id
from veo_async._wire.validation import check_encodable, task_id_problems, url_problem
from veo_async.errors import (
    InvalidRequest,
    Problem,
)

from .base_urls import BaseUrls, resolve_base_urls
from .catalogue import CatalogueRequests
from .key import ApiKey, KeyProvider, resolve_key
from .multipart import encode_form
from .requester import Requester
from .routes import Routes, parse_proxy
from .transport import USER_AGENT, AiohttpTransport

_DEFAULT_FOLDER = "veo-async"


class VeoApi(CatalogueRequests):
    """A typed client of one provider.

    Args:
        api_key: the key, or an async function that returns it. Default: the environment variable KIE_API_KEY, or the
            file named by KIE_API_KEY_FILE.
        provider: ``"kie"``, ``"apikley"`` or a `Dialect`.
        base_url: another URL of the API. Default: VEO_BASE_URL, KIE_BASE_URL, or the provider's own.
        upload_url: another URL for uploads. Default: *base_url* if given, or the provider's own.
        http: your own `aiohttp.ClientSession`, with its own proxy; it is never closed.
        timeout: seconds for one request. Default: 120 for requests that can be charged, 30 for reads, 300 for uploads.
        proxy: the URL of an HTTP proxy for all requests.
        ssl_context: trusts a custom certificate authority.
        trust_env: without *proxy* and *http*, follow HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.
        allow_insecure_http: allow sending the key over plain http to another machine.

    Example::

        async with VeoApi() as api:
            task = await api.generate("A dog surfing at dusk", model="veo3_fast")
            record = await api.record_info(task.task_id)
    """

    def __init__(
        self,
        api_key: str | ApiKey | KeyProvider | None = None,
        *,
        provider: str | Dialect = "kie",
        base_url: str | None = None,
        upload_url: str | None = None,
        http: aiohttp.ClientSession | None = None,
        timeout: float | None = None,
        user_agent: str = USER_AGENT,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trust_env: bool = True,
        allow_insecure_http: bool = False,
        transport: Transport | None = None,
    ) -> None:
        self.dialect: Dialect = dialect_named(provider)
        self.base_urls: BaseUrls = resolve_base_urls(
            self.dialect,
            base_url=base_url,
            upload_url=upload_url,
            environ=os.environ,
            allow_insecure_http=allow_insecure_http,
        )
        if proxy is not None and parse_proxy(proxy) is None:
            reject("proxy", "…", "must be the URL of an HTTP proxy, like http://proxy.example:3128")
        self._requester = Requester(
            transport or AiohttpTransport(http, Routes(parse_proxy(proxy), trust_env and http is None, ssl_context)),
            self.dialect,
            self.base_urls,
            api_key if callable(api_key) else resolve_key(api_key, os.environ, key_page=self.dialect.key_page),
            timeout=timeout,
            user_agent=user_agent,
        )

    @property
    def log_page(self) -> str | None:
        """The provider's page with the account's tasks; None if it has none, or if the base URL is not its own."""
        return self.dialect.log_page if self.base_urls.api == self.dialect.base_url else None

    def __repr__(self) -> str:
        if not hasattr(self, "_requester"):
            return "<VeoApi, not constructed>"  # a traceback with values shows it
        return f"VeoApi({self.dialect.name!r}, {self.base_urls.api!r}, {self._requester.key!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections of this client; an aiohttp session passed as ``http=`` stays open."""
        await self._requester.close()

    # --- requests that can be charged ---------------------------------------------------------------------------

    async def generate(
        self, request: VideoRequest | str, *, validate: bool = True, **options: Unpack[VideoOptions]
    ) -> Accepted:
        """Create one clip. *request* is a `VideoRequest`, or a prompt with *options*.

        Args:
            validate: False skips our rules, for values newer than this library; the provider decides.
        """
        video_request = _as_video_request(request, options)
        return await self._create(video_request, VEO, validate=validate)

    async def extend(
        self, request: ExtendRequest | str, prompt: str = "", *, validate: bool = True, **options: Unpack[ExtendOptions]
    ) -> Accepted:
        """Continue a clip by about seven seconds. *request* is an `ExtendRequest`, or the task id with *prompt*."""
        if isinstance(request, str):
            request = from_dict({"task_id": request, "prompt": prompt, **options}, ExtendRequest)
        return await self._create(request, VEO, validate=validate)

    async def create_task(self, request: AnyRequest, *, validate: bool = True) -> Accepted:
        """Create a clip, an extension or an upgrade on the jobs route. Each of them is a task with a record.

        Raises:
            InvalidRequest: an option is wrong, or the jobs route does not have it; nothing was sent.
        """
        return await self._create(request, JOBS, validate=validate)

    async def _create(self, request: AnyRequest, route: Route, *, validate: bool) -> Accepted:
        self._check(request, validate=validate)
        route.check(request)
        return await self._requester.post(route.endpoint_for(request), route.body(request, self.dialect))

    async def get_1080p_video(self, task_id: str, *, index: int | None = None) -> HdVideo:
        """Return the 1080p version. The first call starts the upgrade and costs credits, although it is a GET.

        Raises:
            NotReady: the upgrade is being processed; call again in 20 to 30 s.
        """
        request = UpgradeRequest(_checked_task_id(task_id), index=index)
        query = VEO.body(request, self.dialect)
        return await self._requester.send(endpoints.GET_1080P, query=query, task_id=task_id)

    async def get_4k_video(
        self, task_id: str, *, index: int | None = None, callback_url: str | None = None
    ) -> UpscaledVideo:
        """Start the 4K upgrade, or return its result: see `UpscaledVideo.is_ready`.

        Raises:
            NotReady: the upgrade is being processed, which takes five to ten minutes.
        """
        if callback_url is not None and (rule := url_problem(callback_url)):
            remedy = "the provider must be able to reach it"
            raise InvalidRequest.of(Problem("callback_url", callback_url, rule, remedy))
        request = UpgradeRequest(_checked_task_id(task_id), "4k", index=index, callback_url=callback_url)
        return await self._requester.post(endpoints.GET_4K, VEO.body(request, self.dialect), task_id=task_id)

    # --- free requests ------------------------------------------------------------------------------------------

    async def record_info(self, task_id: str, *, route: RouteName = "veo") -> Record:
        """Return the record of a task that *route* created. The record decides the task's state."""
        used = route_named(route)
        return self.decode_record(await self.record_response(task_id, used), task_id, used)

    async def record_response(self, task_id: str, route: Route = VEO) -> HttpResponse:
        """Return the response that `record_info` parses, for callers that compare it with the last one first."""
        return await self._requester.exchange(
            route.record, query={"taskId": _checked_task_id(task_id)}, task_id=task_id
        )

    def decode_record(self, response: HttpResponse, task_id: str, route: Route = VEO) -> Record:
        """Return the record in a response of `record_response`."""
        return self._requester.decode(route.record, response, task_id=task_id)

    async def credit(self) -> Credits:
        """Return the balance of the account; also the cheapest way to test a key."""
        return await self._requester.send(endpoints.CREDIT)

    async def download_url(self, url: str) -> DownloadLink:
        """Return a direct link to a result of this provider, valid for 20 minutes."""
        if rule := url_problem(url):
            raise InvalidRequest.of(Problem("url", url, rule, "pass a result URL exactly as the provider returned it"))
        return await self._requester.post(endpoints.DOWNLOAD_URL, {"url": url})

    async def upload_from_url(self, url: str, *, folder: str = _DEFAULT_FOLDER, file_name: str | None = None) -> Upload:
        """Let the provider download a file of up to 100 MB, within 30 s."""
        if rule := url_problem(url):
            raise InvalidRequest.of(Problem("url", url, rule, "pass a public URL"))
        body = {"fileUrl": url, "uploadPath": _checked_folder(folder), "fileName": file_name}
        return await self._requester.post(endpoints.FILE_URL_UPLOAD, body)

    async def upload_base64(
        self, content: bytes, *, folder: str = _DEFAULT_FOLDER, file_name: str | None = None
    ) -> Upload:
        """Upload up to 10 MB as JSON."""
        data = (await run_blocking(base64.b64encode, content)).decode("ascii")
        body = {"base64Data": data, "uploadPath": _checked_folder(folder), "fileName": file_name}
        return await self._requester.post(endpoints.FILE_BASE64_UPLOAD, body)

    async def upload_file(
        self, content: bytes | Path, *, folder: str = _DEFAULT_FOLDER, file_name: str | None = None
    ) -> Upload:
        """Upload bytes or a local file as a form, for files of any size."""
        fields = {"uploadPath": _checked_folder(folder)}
        name = file_name or (content.name if isinstance(content, Path) else "file")
        if file_name:
            fields["fileName"] = file_name
        data = await _read_file(content) if isinstance(content, Path) else content
        content_type, body = encode_form(fields, file_field="file", file_name=name, content=data)
        return await self._requester.send(endpoints.FILE_STREAM_UPLOAD, body=body, content_type=content_type)

    async def server_time(self) -> datetime | None:
        """Return the provider's time from the ``Date`` header of a response, or None without one."""
        return server_time(await self._requester.exchange(endpoints.CREDIT))

    async def account_id(self) -> str:
        """Return the id of the account that the key bills: a hash of the key."""
        return (await self._requester.current_key()).account_id

    async def refresh_key(self) -> bool:
        """Ask the key provider again. Return True if the key has changed."""
        return await self._requester.refresh_key()

    def _check(self, request: AnyRequest, *, validate: bool) -> None:
        (check if validate else check_encodable)(request, self.dialect)


def _as_video_request(request: VideoRequest | str, options: Mapping[str, Any]) -> VideoRequest:
    options = with_image(options)
    if not isinstance(request, VideoRequest):
        return from_dict({"prompt": request, **options}, VideoRequest)
    if options:
        rule = "cannot be combined with a complete VideoRequest"
        raise InvalidRequest.of(Problem("options", sorted(options), rule, "put them into the request"))
    return request


def _checked_task_id(task_id: str) -> str:
    if not is_plausible_task_id(task_id):
        raise InvalidRequest.of(*task_id_problems(task_id))
    return task_id


def _checked_folder(folder: str) -> str:
    if not folder or folder != folder.strip("/") or not folder.isprintable():
        rule, remedy = "is not a valid upload folder", "remove leading and trailing slashes"
        raise InvalidRequest.of(Problem("folder", folder, rule, remedy))
    return folder


async def _read_file(path: Path) -> bytes:
    try:
        return await run_blocking(path.read_bytes)
    except OSError as exc:
        rule = exc.strerror or "cannot be read"
        raise InvalidRequest.of(Problem("content", str(path), rule, "pass a readable file")) from None
