"""The table of endpoints: path, response type, documented codes, and whether a request can be charged."""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

import attrs

from . import catalogue, responses
from .envelope import Envelope

T_co = TypeVar("T_co", covariant=True)


@attrs.frozen(kw_only=True)
class Endpoint(Generic[T_co]):
    """One endpoint of the provider."""

    #: The last part of its path; users and logs see it.
    name: str
    method: Literal["GET", "POST"]
    #: It may contain ``{model}``, a model's name, whose slashes are not escaped.
    path: str
    #: Which of the two hosts serves it.
    host: Literal["api", "upload"] = "api"
    #: A request can cost credits, so it is never repeated if its outcome is unknown. Also true of the GET for 1080p.
    is_charged: bool = False
    #: The endpoint reports "not ready" as an error.
    may_be_not_ready: bool = False
    #: A 500 is a rejection if its message is a known one.
    explains_500: bool = False
    #: The documented codes besides 200.
    codes: tuple[int, ...]
    #: Reads the value from an envelope with code 200.
    read: Callable[[Envelope], T_co]
    #: Reads a value from an envelope with another code; None if the code is the whole result.
    read_error_body: Callable[[Envelope], T_co | None] = lambda _: None


_CREATING = (400, 401, 402, 404, 422, 429, 455, 500, 501, 505)
_READING = (401, 404, 422, 429, 451, 455, 500)
_COMMON = (401, 402, 404, 422, 429, 455, 500, 505)
_UPLOADING = (400, 401, 405, 500)
_CATALOGUE = (401, 404, 422, 429, 455, 500)

GENERATE = Endpoint(
    name="generate",
    method="POST",
    path="/api/v1/veo/generate",
    is_charged=True,
    codes=_CREATING,
    read=responses.read_accepted,
)
EXTEND = Endpoint(
    name="extend",
    method="POST",
    path="/api/v1/veo/extend",
    is_charged=True,
    codes=_CREATING,
    read=responses.read_accepted,
)
RECORD_INFO = Endpoint(
    name="record-info",
    method="GET",
    path="/api/v1/veo/record-info",
    may_be_not_ready=True,
    # 429 is not documented, but users get it while polling; 400 reports a refused prompt.
    codes=(400, 401, 404, 422, 429, 451, 455, 500),
    read=responses.read_record,
    read_error_body=responses.read_failed_record,
)
GET_1080P = Endpoint(
    name="get-1080p-video",
    method="GET",
    path="/api/v1/veo/get-1080p-video",
    is_charged=True,
    may_be_not_ready=True,
    # 400 is not documented, but it is the code for "not ready".
    codes=(400, *_READING),
    read=responses.read_hd_video,
)
GET_4K = Endpoint(
    name="get-4k-video",
    method="POST",
    path="/api/v1/veo/get-4k-video",
    is_charged=True,
    may_be_not_ready=True,
    codes=_READING,
    read=responses.read_upscaled,
    read_error_body=responses.read_upscaled_from_error,
)
CREATE_TASK = Endpoint(
    name="create-task",
    method="POST",
    path="/api/v1/jobs/createTask",
    is_charged=True,
    explains_500=True,
    codes=(400, 401, 402, 404, 408, 422, 429, 433, 455, 500, 501, 505),
    read=responses.read_accepted,
)
JOB_RECORD = Endpoint(
    name="job-record",
    method="GET",
    path="/api/v1/jobs/recordInfo",
    codes=(400, 401, 404, 422, 429, 455, 500),
    read=responses.read_record,
    read_error_body=responses.read_failed_record,
)
CREDIT = Endpoint(
    name="credit",
    method="GET",
    path="/api/v1/chat/credit",
    codes=_COMMON,
    read=responses.read_credits,
)
DOWNLOAD_URL = Endpoint(
    name="download-url",
    method="POST",
    path="/api/v1/common/download-url",
    codes=_COMMON,
    read=responses.read_download_link,
)
LIST_MODELS = Endpoint(
    name="models",
    method="GET",
    path="/api/v1/models",
    codes=_CATALOGUE,
    read=catalogue.read_models,
)
MODEL_PRICE = Endpoint(
    name="model-price",
    method="GET",
    path="/api/v1/models/{model}/price",
    codes=_CATALOGUE,
    read=catalogue.read_price,
)
MODEL_SUCCESS_RATE = Endpoint(
    name="model-success-rate",
    method="GET",
    path="/api/v1/models/{model}/success-rate",
    codes=_CATALOGUE,
    read=catalogue.read_success_rates,
)
MODEL_SCHEMA = Endpoint(
    name="model-schema",
    method="GET",
    path="/api/v1/models/{model}/schema",
    codes=_CATALOGUE,
    read=catalogue.read_schema,
)
FILE_URL_UPLOAD = Endpoint(
    name="file-url-upload",
    method="POST",
    path="/api/file-url-upload",
    host="upload",
    codes=_UPLOADING,
    read=responses.read_upload,
)
FILE_BASE64_UPLOAD = Endpoint(
    name="file-base64-upload",
    method="POST",
    path="/api/file-base64-upload",
    host="upload",
    codes=_UPLOADING,
    read=responses.read_upload,
)
FILE_STREAM_UPLOAD = Endpoint(
    name="file-stream-upload",
    method="POST",
    path="/api/file-stream-upload",
    host="upload",
    codes=_UPLOADING,
    read=responses.read_upload,
)

ENDPOINTS: tuple[Endpoint[Any], ...] = (
    GENERATE,
    EXTEND,
    RECORD_INFO,
    GET_1080P,
    GET_4K,
    CREATE_TASK,
    JOB_RECORD,
    CREDIT,
    DOWNLOAD_URL,
    LIST_MODELS,
    MODEL_PRICE,
    MODEL_SUCCESS_RATE,
    MODEL_SCHEMA,
    FILE_URL_UPLOAD,
    FILE_BASE64_UPLOAD,
    FILE_STREAM_UPLOAD,
)
_BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}


def endpoint_named(name: str) -> Endpoint[Any]:
    """Return the endpoint called *name*, or raise `KeyError`."""
    return _BY_NAME[name]
