"""`VeoApi`: one coroutine per endpoint, exactly one HTTP attempt each.

Nothing is retried and nothing is waited for here; this is the storey on which the session stands, and a plain tool
for whoever wants to decide everything alone. Requests are checked before a byte leaves; answers are deciphered into
values or raised as errors that say what is known of them.
"""

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack
from urllib.parse import quote

import aiohttp

from veo_async._base.run_blocking import run_blocking
from veo_async._ports import HttpRequest, Transport
from veo_async._wire import (
    Accepted,
    Credits,
    Dialect,
    DownloadLink,
    Endpoint,
    ExtendRequest,
    HdVideo,
    HttpResponse,
    Record,
    Upload,
    UpscaledVideo,
    VideoRequest,
    check,
    decode_response,
    dialect_named,
    endpoints,
)
from veo_async._wire.converter import from_dict, to_wire
from veo_async._wire.images import with_image
from veo_async._wire.requests import ExtendOptions, VideoOptions
from veo_async._wire.retry_after import server_time
from veo_async._wire.validation import check_encodable, is_plausible_task_id, task_id_problems, url_problem
from veo_async.errors import InvalidKey, InvalidRequest, Problem, UnsupportedByProvider, VeoError

from .base_urls import BaseUrls, resolve_base_urls
from .key import ApiKey, KeyProvider, resolve_key
from .multipart import encode_form
from .transport import USER_AGENT, AiohttpTransport

T = TypeVar("T")

#: Seconds. A creating call is given long: under load it takes over a minute, and giving up means doubt about money.
_CREATE_TIMEOUT_S = 120.0
_READ_TIMEOUT_S = 30.0
_UPLOAD_TIMEOUT_S = 300.0
_DEFAULT_FOLDER = "veo-async"


class VeoApi:
    """The thin typed client of one provider.

    Args:
        api_key: the key, or an async function that gives it. Without it: VEO_API_KEY, KIE_API_KEY,
            KIE_AI_API_KEY, or the file named by KIE_API_KEY_FILE.
        provider: ``"kie"``, ``"apikley"`` or a `Dialect`.
        base_url: another address. Without it: VEO_BASE_URL, KIE_BASE_URL, else the provider's own.
        upload_url: another address for uploads; *base_url* serves them too when only that one is given.
        session: your own `aiohttp.ClientSession`; it is used and never closed.
        timeout: seconds for one attempt; without it 120 for what costs, 30 for reads, 300 for uploads.
        allow_insecure_http: let the key travel over plain http to another machine.

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
        self._key_provider = api_key if callable(api_key) else None
        self._key = None if callable(api_key) else resolve_key(api_key, os.environ)
        self._key_lock = asyncio.Lock()
        self._timeout = timeout
        self._user_agent = user_agent
        self._transport = transport or AiohttpTransport(http, proxy=proxy, ssl_context=ssl_context)

    def __repr__(self) -> str:
        return f"VeoApi({self.dialect.name!r}, {self.base_urls.api!r}, {self._key!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what this client opened; a session that was handed in stays open."""
        await self._transport.close()

    # --- what costs ---------------------------------------------------------------------------------------------

    async def generate(
        self, request: VideoRequest | str, *, validate: bool = True, **options: Unpack[VideoOptions]
    ) -> Accepted:
        """Have one clip made; *request* is a `VideoRequest`, or a prompt with *options* beside it.

        Args:
            validate: False lets through what our rules do not know yet; the provider has the last word.
        """
        video_request = _as_video_request(request, options)
        self._check(video_request, validate=validate)
        return await self._post(endpoints.GENERATE, to_wire(video_request, self.dialect))

    async def extend(
        self, request: ExtendRequest | str, prompt: str = "", *, validate: bool = True, **options: Unpack[ExtendOptions]
    ) -> Accepted:
        """Continue a clip by about seven seconds; *request* is an `ExtendRequest`, or the task id with *prompt*."""
        if isinstance(request, str):
            request = from_dict({"task_id": request, "prompt": prompt, **options}, ExtendRequest)
        self._check(request, validate=validate)
        return await self._post(endpoints.EXTEND, to_wire(request, self.dialect))

    async def get_1080p_video(self, task_id: str, *, index: int | None = None) -> HdVideo:
        """The 1080p version. The first call starts its making and costs credits, though it is a GET.

        Raises:
            NotReady: it is being made; ask again in 20 to 30 s.
        """
        query = {"taskId": _checked_task_id(task_id), "index": index}
        return await self._send(endpoints.GET_1080P, query=query, task_id=task_id)

    async def get_4k_video(
        self, task_id: str, *, index: int | None = None, callback_url: str | None = None
    ) -> UpscaledVideo:
        """Have the 4K version made, or fetch it: `UpscaledVideo.is_ready` tells.

        Raises:
            NotReady: it is being made; it takes five to ten minutes.
        """
        if callback_url is not None and (why := url_problem(callback_url)):
            raise InvalidRequest.of(
                Problem("callback_url", callback_url, why, "give a URL that the provider can reach")
            )
        body = {"taskId": _checked_task_id(task_id), "index": index, "callBackUrl": callback_url}
        return await self._post(endpoints.GET_4K, body, task_id=task_id)

    # --- what is free -------------------------------------------------------------------------------------------

    async def record_info(self, task_id: str) -> Record:
        """The record of a task of any kind: the final authority on its state."""
        return decode_response(endpoints.RECORD_INFO, await self.record_response(task_id), task_id=task_id)

    async def record_response(self, task_id: str) -> HttpResponse:
        """What `record_info` reads, unread: for whoever compares it with the last one first."""
        return await self._attempt(endpoints.RECORD_INFO, query={"taskId": _checked_task_id(task_id)}, task_id=task_id)

    async def credit(self) -> Credits:
        """The balance of the account; also the cheapest test of a key."""
        return await self._send(endpoints.CREDIT)

    async def download_url(self, url: str) -> DownloadLink:
        """A direct link to a result of this provider, good for 20 minutes."""
        if why := url_problem(url):
            raise InvalidRequest.of(Problem("url", url, why, "pass a result URL as the provider gave it"))
        return await self._post(endpoints.DOWNLOAD_URL, {"url": url})

    async def upload_from_url(self, url: str, *, folder: str = _DEFAULT_FOLDER, file_name: str | None = None) -> Upload:
        """Have the provider fetch a file of up to 100 MB within 30 s."""
        if why := url_problem(url):
            raise InvalidRequest.of(Problem("url", url, why, "give a public URL"))
        body = {"fileUrl": url, "uploadPath": _checked_folder(folder), "fileName": file_name}
        return await self._post(endpoints.FILE_URL_UPLOAD, body)

    async def upload_base64(
        self, content: bytes, *, folder: str = _DEFAULT_FOLDER, file_name: str | None = None
    ) -> Upload:
        """Upload up to 10 MB inside JSON."""
        data = (await run_blocking(base64.b64encode, content)).decode("ascii")
        body = {"base64Data": data, "uploadPath": _checked_folder(folder), "fileName": file_name}
        return await self._post(endpoints.FILE_BASE64_UPLOAD, body)

    async def upload_file(
        self, content: bytes | Path, *, folder: str = _DEFAULT_FOLDER, file_name: str | None = None
    ) -> Upload:
        """Upload bytes or a local file as a form, which suits files of any size."""
        fields = {"uploadPath": _checked_folder(folder)}
        name = file_name or (content.name if isinstance(content, Path) else "file")
        if file_name:
            fields["fileName"] = file_name
        data = await _read_file(content) if isinstance(content, Path) else content
        content_type, body = encode_form(fields, file_field="file", file_name=name, content=data)
        return await self._send(endpoints.FILE_STREAM_UPLOAD, body=body, content_type=content_type)

    async def server_time(self) -> datetime | None:
        """What the provider's clock shows, by the ``Date`` of an answer; None when it does not say."""
        return server_time(await self._attempt(endpoints.CREDIT))

    async def account_id(self) -> str:
        """A name for what the key bills: a hash of it."""
        return (self._key or await self._current_key()).account_id

    # --- one attempt --------------------------------------------------------------------------------------------

    async def refresh_key(self) -> bool:
        """Ask the key provider again; whether it gave another key than before."""
        if self._key_provider is None:
            return False
        before, self._key = self._key, ApiKey(await self._key_provider())
        return self._key != before

    async def _current_key(self) -> ApiKey:
        """The key; whoever comes first asks the provider for it, the others wait for that answer."""
        async with self._key_lock:
            if self._key is None:
                await self.refresh_key()
        if self._key is None:
            raise InvalidKey("the key provider gave no key")
        return self._key

    async def _post(self, endpoint: Endpoint[T], fields: Mapping[str, Any], *, task_id: str | None = None) -> T:
        body = json.dumps(_without_none(fields), ensure_ascii=False).encode()
        return await self._send(endpoint, body=body, content_type="application/json", task_id=task_id)

    async def _send(
        self,
        endpoint: Endpoint[T],
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        task_id: str | None = None,
    ) -> T:
        answer = await self._attempt(endpoint, query=query, body=body, content_type=content_type, task_id=task_id)
        return decode_response(endpoint, answer, task_id=task_id)

    async def _attempt(
        self,
        endpoint: Endpoint[Any],
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        task_id: str | None = None,
    ) -> HttpResponse:
        """The answer to one attempt, without the key should it hold it."""
        self.dialect.require(endpoint)
        key = self._key or await self._current_key()
        call = HttpRequest(
            method=endpoint.method,
            url=self._url(endpoint, query or {}),
            headers=self._headers(key, content_type),
            body=body,
            timeout_s=self._timeout or _timeout_of(endpoint),
        )
        try:
            answer = await self._transport.send(call)
        except VeoError as error:
            error.add_evidence(endpoint=endpoint.name, task_id=task_id)
            error.retryable = error.retryable or not endpoint.is_charged
            raise
        return _redacted(answer, key)

    def _url(self, endpoint: Endpoint[Any], query: Mapping[str, Any]) -> str:
        host = self.base_urls.api if endpoint.host == "api" else self.base_urls.upload
        if host is None:
            fault = Problem("endpoint", endpoint.name, f"{self.dialect.name} has no upload host", "pass upload_url=…")
            raise UnsupportedByProvider.of(fault)
        said = "&".join([f"{name}={_query_quote(str(value))}" for name, value in query.items() if value is not None])
        return f"{host}{endpoint.path}?{said}" if said else f"{host}{endpoint.path}"

    def _headers(self, key: ApiKey, content_type: str | None) -> dict[str, str]:
        headers = {"Authorization": key.as_header(), "User-Agent": self._user_agent, "Accept": "application/json"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        return headers

    def _check(self, request: VideoRequest | ExtendRequest, *, validate: bool) -> None:
        (check if validate else check_encodable)(request, self.dialect)


def _as_video_request(request: VideoRequest | str, options: Mapping[str, Any]) -> VideoRequest:
    options = with_image(options)
    if not isinstance(request, VideoRequest):
        return from_dict({"prompt": request, **options}, VideoRequest)
    if options:
        fault = Problem("options", sorted(options), "stand beside a whole VideoRequest", "put them into the request")
        raise InvalidRequest.of(fault)
    return request


def _checked_task_id(task_id: str) -> str:
    if not is_plausible_task_id(task_id):
        raise InvalidRequest.of(*task_id_problems(task_id))
    return task_id


def _checked_folder(folder: str) -> str:
    if not folder or folder != folder.strip("/") or not folder.isprintable():
        raise InvalidRequest.of(
            Problem("folder", folder, "is no upload folder", "write it without slashes at its ends")
        )
    return folder


def _query_quote(value: str) -> str:
    """*value* for a query; a task id is letters and digits, and `quote` is slow in finding that out."""
    return value if value.isascii() and value.isalnum() else quote(value, "")


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _redacted(answer: HttpResponse, key: ApiKey) -> HttpResponse:
    body = key.redact(answer.body)
    if body is answer.body:
        return answer
    return HttpResponse(status=answer.status, headers=answer.headers, body=body, received_at=answer.received_at)


def _timeout_of(endpoint: Endpoint[Any]) -> float:
    if endpoint.host == "upload":
        return _UPLOAD_TIMEOUT_S
    return _CREATE_TIMEOUT_S if endpoint.is_charged else _READ_TIMEOUT_S


async def _read_file(path: Path) -> bytes:
    try:
        return await run_blocking(path.read_bytes)
    except OSError as exc:
        raise InvalidRequest.of(
            Problem("content", str(path), exc.strerror or "cannot be read", "name a file that can be read")
        ) from None
