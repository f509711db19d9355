"""The upload host. It accepts files in three ways; its errors use real HTTP statuses and have no ``data``."""

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import attrs

from veo_async.simulator.clips import POSTER
from veo_async.simulator.clock import ClientTime

from .files import FileHost
from .messages import SimRequest, SimResponse, encode, envelope
from .settings import ProviderSettings

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?,", re.IGNORECASE)
_PART_NAME = re.compile(rb'\bname="([^"]*)"', re.IGNORECASE)
_FILE_NAME = re.compile(rb'\bfilename="([^"]*)"', re.IGNORECASE)


class UploadError(Exception):
    """The upload host rejects a request; *code* is also the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def to_response(self) -> SimResponse:
        """Return the response to send."""
        return SimResponse(status=self.code, body=encode({"success": False, "code": self.code, "msg": self.message}))


@attrs.frozen
class UploadedFile:
    """An uploaded file."""

    data: bytes = attrs.field(repr=False)
    content_type: str

    @property
    def etag(self) -> str:
        """The ETag, quotes included."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


@attrs.frozen
class _Upload:
    """The contents of one upload request."""

    data: bytes
    folder: Any
    name: Any
    original_name: str


class UploadHost:
    """Accepts uploads and stores them, in memory, on the download host."""

    def __init__(self, settings: ProviderSettings, *, rng: Random, files: FileHost, client_time: ClientTime) -> None:
        self._settings = settings
        self._rng = rng
        self._files = files
        self._client_time = client_time

    def handle(self, request: SimRequest, now: float) -> SimResponse:
        """Return the response to *request*, whose API key has been checked."""
        readers = {
            "file-url-upload": self._by_url,
            "file-base64-upload": self._by_base64,
            "file-stream-upload": self._by_form,
        }
        try:
            return self._store(readers[request.endpoint](request), now)
        except UploadError as error:
            return error.to_response()

    def _by_url(self, request: SimRequest) -> _Upload:
        body = _object(request)
        url = _required(body, "fileUrl")
        original = unquote(urlsplit(url).path.rpartition("/")[2])
        return _Upload(self._file_at(url), body.get("uploadPath"), body.get("fileName"), original)

    def _file_at(self, url: str) -> bytes:
        """Return the file at *url* if the download host has it, else a placeholder image.

        The simulator never downloads anything.
        """
        file = self._files.find(url)
        return POSTER.data if file is None else file.content.data

    def _by_base64(self, request: SimRequest) -> _Upload:
        body = _object(request)
        text = _required(body, "base64Data")
        prefix = _DATA_URL.match(text)
        try:
            data = base64.b64decode(text[prefix.end() :] if prefix else text, validate=True)
        except (binascii.Error, ValueError):
            raise UploadError(400, "Base64 decoding failed: Invalid Base64 format") from None
        extension = (prefix[1].rpartition("/")[2] if prefix else "") or "png"
        return _Upload(data, body.get("uploadPath"), body.get("fileName"), f"upload.{extension}")

    def _by_form(self, request: SimRequest) -> _Upload:
        parts = form_parts(request.headers.get("content-type", ""), request.body)
        if "file" not in parts:
            raise UploadError(400, "Missing required parameter: file")
        data, original = parts["file"]
        folder, name = (parts.get(part, (b"", ""))[0].decode("utf-8", "replace") for part in ("uploadPath", "fileName"))
        return _Upload(data, folder, name, original)

    def _store(self, upload: _Upload, now: float) -> SimResponse:
        if not isinstance(upload.folder, str) or not upload.folder:
            raise UploadError(400, "Missing required parameter: uploadPath")
        folder = upload.folder.strip("/")
        extension = upload.original_name.rpartition(".")[2].lower() if "." in upload.original_name else "bin"
        name = str(upload.name or f"{self._rng.randbytes(8).hex()}.{extension}").rpartition("/")[2]
        content_type = _TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
        path = f"{folder}/{name}"
        ttl_s = self._settings.upload_ttl_s
        content = UploadedFile(upload.data, content_type)
        url = self._files.put(f"u/{path}", content, now=now, ttl_s=ttl_s)
        url = url.removesuffix(path) + quote(path)
        uploaded_at, expires_at = (_iso(self._client_time.at(at)) for at in (now, now + ttl_s))
        body: dict[str, Any] = {"fileName": name, "fileSize": len(upload.data), "mimeType": content_type}
        if self._settings.upload_form == "real":
            body |= {"filePath": path, "downloadUrl": url, "uploadedAt": uploaded_at}
            return _uploaded(body, "File uploaded successfully")
        body |= {"fileId": self._rng.randbytes(8).hex(), "originalName": upload.original_name, "uploadPath": folder}
        body |= {"fileUrl": url, "downloadUrl": url, "uploadTime": uploaded_at, "expiresAt": expires_at}
        return _uploaded(body, "File upload successful")


def _uploaded(fields: dict[str, Any], message: str) -> SimResponse:
    body = b'{"success":true,' + envelope(fields, message=message).removeprefix(b"{")
    return SimResponse(body=body)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(request: SimRequest) -> dict[str, Any]:
    body = request.json()
    if not isinstance(body, dict):
        raise UploadError(400, "The request body is not a JSON object")
    return body


def _required(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise UploadError(400, f"Missing required parameter: {name}")
    return value


def form_parts(content_type: str, body: bytes) -> dict[str, tuple[bytes, str]]:
    """Return the parts of a ``multipart/form-data`` body: name to bytes and file name."""
    boundary = content_type.partition("boundary=")[2].partition(";")[0].strip().strip('"')
    if not boundary:
        return {}
    parts: dict[str, tuple[bytes, str]] = {}
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        name, file_name = _PART_NAME.search(head), _FILE_NAME.search(head)
        if name:
            parts[name[1].decode("utf-8", "replace")] = (
                data,
                file_name[1].decode("utf-8", "replace") if file_name else "",
            )
    return parts
