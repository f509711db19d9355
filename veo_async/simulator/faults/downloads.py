"""Faults of the download host."""

from typing import Literal, Unpack

import attrs

from veo_async.simulator.provider.files import expired_response
from veo_async.simulator.provider.messages import DOWNLOAD, SimRequest, SimResponse

from .effects import position
from .table import Fault, FaultContext, When, fault_kind

#: How far a wrong range is off, in bytes.
_SHIFT = 1000


def _shorten(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    return attrs.evolve(response, body=response.body[: position(fault, response)])


def _remove_range(fault: Fault, request: SimRequest) -> SimRequest:
    headers = {name: value for name, value in request.headers.items() if name != "range"}
    return attrs.evolve(request, headers=headers)


def _start_earlier(fault: Fault, request: SimRequest) -> SimRequest:
    text = request.headers.get("range", "")
    first, _, last = text.removeprefix("bytes=").partition("-")
    if fault.variant != "start" or not text.startswith("bytes=") or not first:
        return request
    shifted = f"bytes={max(int(first) - _SHIFT, 0)}-{last}"
    return attrs.evolve(request, headers={**request.headers, "range": shifted})


def _change_total(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    if fault.variant != "total" or response.status != 206:
        return response
    span, _, total = dict(response.headers)["Content-Range"].rpartition("/")
    return response.with_header("Content-Range", f"{span}/{int(total) + _SHIFT}")


def _reject_range(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    total = dict(response.headers).get("Content-Range", f"/{len(response.body)}").rpartition("/")[2]
    return SimResponse(status=416, headers=(("Content-Range", f"bytes */{total}"),))


def _replace_video(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    match fault.variant:
        case "json":
            return attrs.evolve(response, body=b'{"code":404,"msg":"The file is gone","data":null}')
        case "no-moov":
            return attrs.evolve(response, body=response.body.replace(b"moov", b"free", 1))
        case _:
            return attrs.evolve(response, body=context.rng.randbytes(len(response.body)))


def _change_file(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    if response.status != 206:
        return response
    body = context.rng.randbytes(len(response.body))
    return attrs.evolve(response, body=body).with_header("ETag", '"changed"')


@fault_kind(endpoint=DOWNLOAD, response=_shorten)
def wrong_length(at: int | None = None, **when: Unpack[When]) -> Fault:
    """Send only the first *at* bytes of the file and announce that length, as if the file were complete."""
    return Fault(kind="wrong-length", at=at, **when)


@fault_kind(endpoint=DOWNLOAD, request=_remove_range)
def ignored_range(**when: Unpack[When]) -> Fault:
    """Respond to a range request with 200 and the whole file."""
    return Fault(kind="ignored-range", **when)


@fault_kind(endpoint=DOWNLOAD, request=_start_earlier, response=_change_total)
def wrong_range(variant: Literal["start", "total"] = "start", **when: Unpack[When]) -> Fault:
    """Respond with a 206 that starts earlier than requested, or that states a wrong total."""
    return Fault(kind="wrong-range", variant=variant, **when)


@fault_kind(endpoint=DOWNLOAD, response=_reject_range)
def range_not_satisfiable(**when: Unpack[When]) -> Fault:
    """Respond with 416, even if the range is valid."""
    return Fault(kind="range-not-satisfiable", **when)


@fault_kind(endpoint=DOWNLOAD, response=_replace_video)
def not_mp4(variant: Literal["noise", "json", "no-moov"] = "noise", **when: Unpack[When]) -> Fault:
    """Send random bytes, a JSON error or a video without its index, with the content type of a video."""
    return Fault(kind="not-mp4", variant=variant, **when)


@fault_kind(endpoint=DOWNLOAD, response=_change_file)
def changed_file(**when: Unpack[When]) -> Fault:
    """Send a range of another version of the file, with its ETag, although ``If-Range`` forbids that."""
    return Fault(kind="changed-file", **when)


@fault_kind(endpoint=DOWNLOAD, response=lambda fault, response, context: expired_response())
def expired_link(**when: Unpack[When]) -> Fault:
    """Respond with 403, as for an expired URL."""
    return Fault(kind="expired-link", accepted=False, **when)
