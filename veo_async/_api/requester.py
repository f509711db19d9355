"""One HTTP request to the provider: URL, headers and key, and the evidence on errors."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import attrs

from veo_async._ports import HttpRequest, Transport
from veo_async._wire import Dialect, Endpoint, HttpResponse, decode_response
from veo_async.errors import (
    MAY_HAVE_BEEN_CHARGED,
    InvalidKey,
    MalformedResponse,
    Problem,
    ResponseLost,
    UnsupportedByProvider,
    VeoError,
)

from .base_urls import BaseUrls
from .key import ApiKey, KeyProvider

T = TypeVar("T")

#: Seconds. Creating requests get long: under load they take over a minute, and after a timeout the job is in doubt.
_CREATE_TIMEOUT_S = 120.0
_READ_TIMEOUT_S = 30.0
_UPLOAD_TIMEOUT_S = 300.0


class Requester:
    """Sends requests to one provider with one API key, which may come from a key provider.

    Args:
        key: the key, or the key provider.
        timeout: seconds for one request; None for the default of its endpoint.
    """

    def __init__(
        self,
        transport: Transport,
        dialect: Dialect,
        base_urls: BaseUrls,
        key: ApiKey | KeyProvider,
        *,
        timeout: float | None,
        user_agent: str,
    ) -> None:
        self._transport, self._dialect, self._base_urls = transport, dialect, base_urls
        #: None until the key provider has been asked.
        self.key = key if isinstance(key, ApiKey) else None
        self._key_provider = None if isinstance(key, ApiKey) else key
        self._key_lock = asyncio.Lock()
        self._timeout = timeout
        self._user_agent = user_agent

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    async def refresh_key(self) -> bool:
        """Ask the key provider again. Return True if the key has changed."""
        if self._key_provider is None:
            return False
        before, self.key = self.key, ApiKey(await self._key_provider())
        return self.key != before

    async def current_key(self) -> ApiKey:
        """Return the key. The first caller gets it from the key provider; concurrent callers wait for that."""
        if self.key is not None:
            return self.key
        async with self._key_lock:
            if self.key is None:
                await self.refresh_key()
        if self.key is None:
            raise InvalidKey("the key provider returned no key", remedy="Check the function passed as api_key=.")
        return self.key

    async def post(self, endpoint: Endpoint[T], fields: Mapping[str, Any], *, task_id: str | None = None) -> T:
        """Send *fields* as JSON, without those that are None, and return the parsed response."""
        body = _to_json(_without_none(fields)).encode()
        return await self.send(endpoint, body=body, content_type="application/json", task_id=task_id)

    async def send(
        self,
        endpoint: Endpoint[T],
        *,
        query: Mapping[str, Any] | None = None,
        model: str | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        task_id: str | None = None,
    ) -> T:
        """Send one request and return the parsed response."""
        response = await self.exchange(
            endpoint, query=query, model=model, body=body, content_type=content_type, task_id=task_id
        )
        return self.decode(endpoint, response, task_id=task_id)

    def decode(self, endpoint: Endpoint[T], response: HttpResponse, *, task_id: str | None = None) -> T:
        """Return the value in *response*; errors name where the request went."""
        base_url = self._base_urls.api if endpoint.host == "api" else self._base_urls.upload
        return decode_response(endpoint, response, task_id=task_id, base_url=base_url)

    async def exchange(
        self,
        endpoint: Endpoint[Any],
        *,
        query: Mapping[str, Any] | None = None,
        model: str | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        task_id: str | None = None,
    ) -> HttpResponse:
        """Send one request and return the response, with the API key removed in case the server echoes it.

        Args:
            model: the model's name in the path of *endpoint*.
        """
        self._dialect.require(endpoint)
        key = self.key or await self.current_key()
        request = HttpRequest(
            method=endpoint.method,
            url=self._url(endpoint, query or {}, model),
            headers=self._headers(key, content_type),
            body=body,
            timeout_s=self._timeout or _timeout_of(endpoint),
        )
        try:
            response = await self._transport.send(request)
        except VeoError as error:
            error.add_evidence(endpoint=endpoint.name, task_id=task_id)
            error.retryable = error.retryable or not endpoint.is_charged
            if isinstance(error, ResponseLost | MalformedResponse):
                error.remedy = MAY_HAVE_BEEN_CHARGED if endpoint.is_charged else "Retry."
            raise
        return _redacted(response, key)

    def _url(self, endpoint: Endpoint[Any], query: Mapping[str, Any], model: str | None = None) -> str:
        host = self._base_urls.api if endpoint.host == "api" else self._base_urls.upload
        if host is None:
            rule = f"{self._dialect.name} has no upload host"
            raise UnsupportedByProvider.of(Problem("endpoint", endpoint.name, rule, "pass upload_url=…"))
        pairs = "&".join([f"{name}={_query_quote(str(value))}" for name, value in query.items() if value is not None])
        path = endpoint.path if model is None else endpoint.path.replace("{model}", quote(model, "/"))
        return f"{host}{path}?{pairs}" if pairs else f"{host}{path}"

    def _headers(self, key: ApiKey, content_type: str | None) -> dict[str, str]:
        headers = {"Authorization": key.as_header(), "User-Agent": self._user_agent, "Accept": "application/json"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        return headers


_to_json = json.JSONEncoder(ensure_ascii=False).encode


def _query_quote(value: str) -> str:
    """Return *value* quoted for a query. `quote` is slow, so task ids, which are letters and digits, skip it."""
    return value if value.isascii() and value.isalnum() else quote(value, "")


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _redacted(response: HttpResponse, key: ApiKey) -> HttpResponse:
    body = key.redact(response.body)
    return response if body is response.body else attrs.evolve(response, body=body)


def _timeout_of(endpoint: Endpoint[Any]) -> float:
    if endpoint.host == "upload":
        return _UPLOAD_TIMEOUT_S
    return _CREATE_TIMEOUT_S if endpoint.is_charged else _READ_TIMEOUT_S
