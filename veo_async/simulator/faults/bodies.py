"""Faults that change the content of a response."""

import json
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, Unpack

import attrs

from veo_async.simulator.provider.messages import SimResponse, encode

from .effects import deliver, position
from .mutations import MUTATIONS
from .table import Fault, FaultContext, When, fault_kind

_MIB = 1024 * 1024
#: The words of the jobs route for success flags.
_STATES = {0: "generating", 1: "success", 2: "fail", 3: "fail"}


def _with_member(response: SimResponse, member: bytes) -> SimResponse:
    """Return *response* with *member* added at the front of its JSON object."""
    return attrs.evolve(response, body=response.body.replace(b"{", b"{" + member + b",", 1))


def _corrupt(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    if fault.variant == "gzip":
        broken = b"\x1f\x8b\x08\x00" + context.rng.randbytes(64)
        return attrs.evolve(response, body=broken).with_header("Content-Encoding", "gzip")
    at = position(fault, response)
    return attrs.evolve(response, body=response.body[:at] + b"\xff\xfe\xc3\x28" + response.body[at:])


def _mutate(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    name = fault.variant or context.rng.choice(sorted(MUTATIONS))
    return attrs.evolve(response, body=json.dumps(MUTATIONS[name](response.json())).encode())


def _tamper(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    change = fault.change or (lambda value: value)
    return attrs.evolve(response, body=encode(change(response.json())))


def _duplicate_keys(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    name = b'"taskId":' if b'"taskId":' in response.body else b'"code":'
    other = b'"%s",' % context.rng.randbytes(16).hex().encode() if name == b'"taskId":' else b"500,"
    return attrs.evolve(response, body=response.body.replace(name, name + other + name, 1))


def _huge(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    blank = b" " * min(_MIB, fault.size)
    return deliver(attrs.evolve(response, body=blank), repeat=float(-(-fault.size // len(blank))))


@lru_cache(maxsize=1)
def _compressed_mebibyte() -> tuple[bytes, bytes]:
    """Return the gzip header with a first MiB of zeros, and a chunk that adds another MiB each time it is repeated."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = compressor.compress(bytes(_MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return first, compressor.compress(bytes(_MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)


def _gzip_bomb(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    first, more = _compressed_mebibyte()
    body = first + more * (fault.size // _MIB - 1)
    return attrs.evolve(response, body=body).with_header("Content-Encoding", "gzip")


def _many_headers(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    more = tuple((f"X-Filler-{number}", "x" * 40) for number in range(fault.size))
    return attrs.evolve(response, headers=response.headers + more)


def _set_flag(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    body = response.json()
    if isinstance(body.get("data"), dict):
        name = "status" if "status" in body["data"] else "successFlag"
        body["data"][name] = fault.value
        if "state" in body["data"]:
            body["data"]["state"] = _STATES.get(fault.value, str(fault.value))
    return attrs.evolve(response, body=encode(body))


@fault_kind(response=_corrupt)
def corrupt_body(variant: Literal["utf-8", "gzip"] = "utf-8", **when: Unpack[When]) -> Fault:
    """Send bytes that are not valid UTF-8, or gzip data that cannot be decompressed."""
    return Fault(kind="corrupt-body", variant=variant, **when)


@fault_kind(short_name="empty", response=lambda fault, response, context: attrs.evolve(response, body=b""))
def empty_body(**when: Unpack[When]) -> Fault:
    """Send an empty body."""
    return Fault(kind="empty-body", **when)


@fault_kind(response=_mutate)
def wrong_types(variant: str = "", **when: Unpack[When]) -> Fault:
    """Change the type of one part of the response's JSON.

    Args:
        variant: A key of `mutations.MUTATIONS`; by default one is drawn.
    """
    return Fault(kind="wrong-types", variant=variant, **when)


@fault_kind(has_text=False, response=_tamper)
def tamper(change: Callable[[Any], Any], **when: Unpack[When]) -> Fault:
    """Replace the response's JSON with what *change* returns for it."""
    return Fault(kind="tamper", change=change, **when)


@fault_kind(response=_duplicate_keys)
def duplicate_keys(**when: Unpack[When]) -> Fault:
    """Send one key of an object twice, with different values."""
    return Fault(kind="duplicate-keys", **when)


@fault_kind(response=lambda fault, response, context: attrs.evolve(response, body=b"\xef\xbb\xbf" + response.body))
def byte_order_mark(**when: Unpack[When]) -> Fault:
    """Send a byte order mark before the JSON."""
    return Fault(kind="byte-order-mark", **when)


@fault_kind(response=lambda fault, response, context: _with_member(response, b'"progress":NaN'))
def not_a_number(**when: Unpack[When]) -> Fault:
    """Add a ``NaN``, which is not valid JSON."""
    return Fault(kind="not-a-number", **when)


@fault_kind(
    response=lambda fault, response, context: _with_member(response, b'"deep":' + b"[" * fault.size + b"]" * fault.size)
)
def deep_nesting(depth: int = 100_000, **when: Unpack[When]) -> Fault:
    """Add *depth* nested lists."""
    return Fault(kind="deep-nesting", size=depth, **when)


@fault_kind(response=lambda fault, response, context: _with_member(response, b'"huge":' + b"9" * fault.size))
def huge_integer(digits: int = 10_000_000, **when: Unpack[When]) -> Fault:
    """Add an integer of *digits* digits, which is slow to parse."""
    return Fault(kind="huge-integer", size=digits, **when)


@fault_kind(response=_huge)
def huge_body(size: int = 50 * 1024 * 1024, **when: Unpack[When]) -> Fault:
    """Send a body of *size* spaces."""
    return Fault(kind="huge-body", size=size, **when)


@fault_kind(response=_gzip_bomb)
def gzip_bomb(size: int = 1024 * 1024 * 1024, **when: Unpack[When]) -> Fault:
    """Send a small body that decompresses to *size* bytes."""
    return Fault(kind="gzip-bomb", size=size, **when)


@fault_kind(response=_many_headers)
def many_headers(count: int = 10_000, **when: Unpack[When]) -> Fault:
    """Add *count* headers."""
    return Fault(kind="many-headers", size=count, **when)


@fault_kind(endpoint="record-info", response=_set_flag)
def record_flag(value: int | str | None = 7, **when: Unpack[When]) -> Fault:
    """Set the success flag of a record to *value*."""
    return Fault(kind="record-flag", value=value, **when)
