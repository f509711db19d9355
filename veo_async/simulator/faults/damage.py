"""What each kind of fault makes of a good answer. Pure: an answer in, a worse one out."""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from math import inf
from random import Random
from typing import Any

import attrs

from veo_async.simulator.provider.messages import ErrorResponse, SimRequest, SimResponse, encode

from .mutations import MUTATIONS
from .plan import Fault

Damage = Callable[[Fault, SimResponse, Random], SimResponse]
_MIB = 1024 * 1024


def damage(fault: Fault, answer: SimResponse, rng: Random, wall: float) -> SimResponse:
    """*answer* as *fault* leaves it; *wall* is the clock that the ``Date`` header tells."""
    if fault.kind == "refuse":
        return _refused(fault, wall)
    return DAMAGES[fault.kind](fault, answer, rng)


def alter_request(fault: Fault, request: SimRequest) -> SimRequest:
    """*request* as a host misreads it: the range is not seen, or begins a thousand bytes earlier."""
    asked = request.headers.get("range", "")
    headers = {name: value for name, value in request.headers.items() if name != "range"}
    if fault.kind == "ignored-range":
        return attrs.evolve(request, headers=headers)
    if fault.kind == "lying-range" and fault.variant == "start" and asked.startswith("bytes="):
        first, _, last = asked.removeprefix("bytes=").partition("-")
        headers["range"] = f"bytes={max(int(first) - 1000, 0)}-{last}" if first else asked
        return attrs.evolve(request, headers=headers)
    return request


def _refused(fault: Fault, wall: float) -> SimResponse:
    message = fault.message or f"code {fault.code}"
    headers = retry_after_headers(fault.retry_after, fault.retry_after_as, wall)
    return ErrorResponse(fault.code, message, form=fault.form, headers=tuple(headers)).answer(fault.form)


def retry_after_headers(wish: float | str | tuple[str, ...] | None, form: str, wall: float) -> list[tuple[str, str]]:
    """``Retry-After`` for *wish*; a date comes with the ``Date`` that it is relative to."""
    if wish is None:
        return []
    if isinstance(wish, str | tuple):
        return [("Retry-After", text) for text in ([wish] if isinstance(wish, str) else wish)]
    if form == "seconds":
        return [("Retry-After", str(int(wish)) if wish == int(wish) else str(wish))]
    return [("Date", http_date(wall)), ("Retry-After", http_date(wall + wish))]


def http_date(epoch: float) -> str:
    """*epoch* seconds as HTTP writes an instant."""
    return format_datetime(datetime.fromtimestamp(int(epoch), UTC), usegmt=True)


def _deliver(answer: SimResponse, **changes: Any) -> SimResponse:
    return attrs.evolve(answer, delivery=attrs.evolve(answer.delivery, **changes))


def _middle(fault: Fault, answer: SimResponse) -> int:
    return len(answer.body) // 2 if fault.at is None else min(fault.at, len(answer.body))


# --- connections ------------------------------------------------------------------------------------------------


def _unchanged(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return answer


def _delay_after(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, delay_s=answer.delivery.delay_s + fault.seconds)


def _drop(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, cut="close")


def _reset(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, cut="reset")


def _reset_middle(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, cut="reset", cut_at=_middle(fault, answer))


def _unreachable(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, unreachable=True)


def _truncate(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, cut="close", cut_at=_middle(fault, answer))


def _drip(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, drip_s=fault.seconds)


def _endless(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _deliver(answer, repeat=inf)


# --- contents ---------------------------------------------------------------------------------------------------


def _html(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    text = "Access denied | error code: 1010" if fault.variant == "1010" else f"{fault.code} from the gateway"
    body = f"<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>\n"
    return SimResponse(status=fault.code, headers=(("Content-Type", "text/html; charset=UTF-8"),), body=body.encode())


def _redirect(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return SimResponse(status=fault.code, headers=(("Location", fault.location),))


def _garble(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    if fault.variant == "gzip":
        broken = b"\x1f\x8b\x08\x00" + rng.randbytes(64)
        return attrs.evolve(answer, body=broken).with_header("Content-Encoding", "gzip")
    at = _middle(fault, answer)
    return attrs.evolve(answer, body=answer.body[:at] + b"\xff\xfe\xc3\x28" + answer.body[at:])


def _empty(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return attrs.evolve(answer, body=b"")


def _bom(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return attrs.evolve(answer, body=b"\xef\xbb\xbf" + answer.body)


def _with_member(answer: SimResponse, member: bytes) -> SimResponse:
    """The answer with one more member at the front of its object."""
    return attrs.evolve(answer, body=answer.body.replace(b"{", b"{" + member + b",", 1))


def _nan(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _with_member(answer, b'"progress":NaN')


def _deep(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _with_member(answer, b'"deep":' + b"[" * fault.size + b"]" * fault.size)


def _huge_integer(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return _with_member(answer, b'"huge":' + b"9" * fault.size)


def _duplicate_keys(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    name = b'"taskId":' if b'"taskId":' in answer.body else b'"code":'
    other = b'"%s",' % rng.randbytes(16).hex().encode() if name == b'"taskId":' else b"500,"
    return attrs.evolve(answer, body=answer.body.replace(name, name + other + name, 1))


def _huge_body(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    blank = b" " * min(_MIB, fault.size)
    return _deliver(attrs.evolve(answer, body=blank), repeat=float(-(-fault.size // len(blank))))


@lru_cache(maxsize=1)
def _packed_mebibyte() -> tuple[bytes, bytes]:
    """A gzip head with a first MiB of zeros, and the piece that adds another, as often as it is repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(bytes(_MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first, packer.compress(bytes(_MIB)) + packer.flush(zlib.Z_FULL_FLUSH)


def _gzip_bomb(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    first, more = _packed_mebibyte()
    return attrs.evolve(answer, body=first + more * (fault.size // _MIB - 1)).with_header("Content-Encoding", "gzip")


def _many_headers(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    more = tuple((f"X-Filler-{number}", "x" * 40) for number in range(fault.size))
    return attrs.evolve(answer, headers=answer.headers + more)


def _tamper(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    change = fault.change or (lambda value: value)
    return attrs.evolve(answer, body=encode(change(answer.json())))


def _set_flag(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    text = answer.json()
    if isinstance(text.get("data"), dict):
        name = "status" if "status" in text["data"] else "successFlag"
        text["data"][name] = fault.value
    return attrs.evolve(answer, body=encode(text))


# --- wrong types ------------------------------------------------------------------------------------------------


def _wrong_types(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    name = fault.variant or rng.choice(sorted(MUTATIONS))
    return attrs.evolve(answer, body=json.dumps(MUTATIONS[name](answer.json())).encode())


# --- downloads --------------------------------------------------------------------------------------------------


def _wrong_length(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return attrs.evolve(answer, body=answer.body[: _middle(fault, answer)])


def _lying_range(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    if answer.status != 206 or fault.variant != "total":
        return answer  # an earlier start was arranged by `alter_request`
    span, _, total = dict(answer.headers)["Content-Range"].rpartition("/")
    return answer.with_header("Content-Range", f"{span}/{int(total) + 1000}")


def _refused_range(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    total = dict(answer.headers).get("Content-Range", f"/{len(answer.body)}").rpartition("/")[2]
    return SimResponse(status=416, headers=(("Content-Range", f"bytes */{total}"),))


def _not_mp4(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    match fault.variant:
        case "json":
            return attrs.evolve(answer, body=b'{"code":404,"msg":"The file is gone","data":null}')
        case "no-moov":
            return attrs.evolve(answer, body=answer.body.replace(b"moov", b"free", 1))
        case _:
            return attrs.evolve(answer, body=rng.randbytes(len(answer.body)))


def _changed_file(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    if answer.status != 206:
        return answer
    return attrs.evolve(answer, body=rng.randbytes(len(answer.body))).with_header("ETag", '"changed"')


def _expired(fault: Fault, answer: SimResponse, rng: Random) -> SimResponse:
    return expired_response()


def expired_response() -> SimResponse:
    """What a file host says when an address has had its time."""
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Expired</Message></Error>'
    return SimResponse(status=403, headers=(("Content-Type", "application/xml"),), body=body)


DAMAGES: dict[str, Damage] = {
    "delay-before": _unchanged,
    "delay-after": _delay_after,
    "drop": _drop,
    "reset": _reset,
    "reset-middle": _reset_middle,
    "unreachable": _unreachable,
    "truncate": _truncate,
    "drip": _drip,
    "endless": _endless,
    "html": _html,
    "redirect": _redirect,
    "garble": _garble,
    "empty": _empty,
    "bom": _bom,
    "nan": _nan,
    "deep": _deep,
    "huge-integer": _huge_integer,
    "huge-body": _huge_body,
    "gzip-bomb": _gzip_bomb,
    "duplicate-keys": _duplicate_keys,
    "many-headers": _many_headers,
    "tamper": _tamper,
    "set-flag": _set_flag,
    "wrong-types": _wrong_types,
    "wrong-length": _wrong_length,
    "ignored-range": _unchanged,
    "lying-range": _lying_range,
    "refused-range": _refused_range,
    "not-mp4": _not_mp4,
    "changed-file": _changed_file,
    "expired": _expired,
}
