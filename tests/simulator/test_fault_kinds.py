"""Each fault, as a client without our library receives it over a socket."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from veo_async.simulator import (
    Fault,
    Simulator,
    blocked_1010,
    byte_order_mark,
    changed_file,
    corrupt_body,
    deep_nesting,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    duplicate_keys,
    empty_body,
    endless_body,
    expired_link,
    gzip_bomb,
    html_page,
    huge_body,
    huge_integer,
    ignored_range,
    many_headers,
    not_a_number,
    not_mp4,
    range_not_satisfiable,
    rate_limited,
    record_flag,
    redirect,
    reset_connection,
    slow_body,
    tamper,
    truncate,
    unknown_code,
    wrong_length,
    wrong_range,
    wrong_types,
)
from veo_async.simulator.faults.mutations import MUTATIONS

from .support import REQUEST, get_bytes, parts_of, post_bytes, raw_exchange


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(duration_s=1.0) as sim:
        yield sim


async def send_raw(sim: Simulator, *faults: Fault, limit: int = 2**20) -> tuple[bytes, str]:
    sim.inject(*faults)
    return await raw_exchange(sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, REQUEST), limit=limit)


async def send(sim: Simulator, *faults: Fault) -> tuple[int, dict[str, str], bytes]:
    response, ending = await send_raw(sim, *faults)
    assert ending == "closed"
    return parts_of(response)


# --- connections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "ending", "charges"),
    [
        (drop_before_accepting(), "closed", 0),
        (drop_after_accepting(), "closed", 1),
        (reset_connection("before"), "reset", 0),
        (reset_connection("after"), "reset", 1),
    ],
)
async def test_lost_connection_sends_no_response(sim: Simulator, fault: Fault, ending: str, charges: int) -> None:
    """Whether the task was created depends on the fault."""
    assert await send_raw(sim, fault) == (b"", ending)
    assert len(sim.charges) == charges
    assert [triggered.fault for triggered in sim.triggered_faults] == [fault]


async def test_reset_in_the_middle_of_the_response(sim: Simulator) -> None:
    """At most half of the body is received."""
    response, ending = await send_raw(sim, reset_connection("middle"))
    assert ending == "reset"
    assert response == b"" or not response.endswith(b"}")
    assert len(sim.charges) == 1


async def test_truncated_response_is_shorter_than_announced(sim: Simulator) -> None:
    """The connection closes after ten bytes."""
    status, headers, body = await send(sim, truncate(10))
    assert (status, len(body)) == (200, 10)
    assert int(headers["content-length"]) > 10


async def test_delay_before_accepting(sim: Simulator) -> None:
    """Nothing is created during the delay."""
    sending = asyncio.create_task(send_raw(sim, delay(0.1)))
    while not sim.requests:  # noqa: ASYNC110  # the simulator signals no event
        await asyncio.sleep(0)
    assert not sim.charges
    await sending
    assert len(sim.charges) == 1


async def test_delay_after_accepting(sim: Simulator) -> None:
    """The task is created immediately; the response follows later."""
    sending = asyncio.create_task(send_raw(sim, delay(0.1, before=False)))
    while not sim.charges:  # noqa: ASYNC110  # the simulator signals no event
        await asyncio.sleep(0)
    assert not sending.done()
    assert parts_of((await sending)[0])[0] == 200


async def test_slow_body_arrives_byte_by_byte(sim: Simulator) -> None:
    """The whole body arrives in the end."""
    began = asyncio.get_running_loop().time()
    _, _, body = await send(sim, slow_body(0.001))
    assert asyncio.get_running_loop().time() - began >= 0.001 * len(body)
    assert json.loads(body)["code"] == 200


# --- refusals ---------------------------------------------------------------------------------------------------


async def test_rate_limited_with_retry_after(sim: Simulator) -> None:
    """Like the simulator's own 429, it is in the body, with the configured header."""
    status, headers, body = await send(sim, rate_limited(retry_after=4))
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (200, "4", 429)
    assert not sim.charges


async def test_rate_limited_as_http_status(sim: Simulator) -> None:
    """``form="http"`` sends the status, too."""
    status, headers, body = await send(sim, rate_limited(retry_after="soon", form="http"))
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (429, "soon", 429)


async def test_rate_limited_with_a_date(sim: Simulator) -> None:
    """There is one ``Date``, and ``Retry-After`` relates to it."""
    response, _ = await send_raw(sim, rate_limited(retry_after=7, retry_after_as="date"))
    assert response.lower().count(b"\r\ndate:") == 1
    assert parts_of(response)[1]["retry-after"].endswith("GMT")


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [(1_000_000, b"1000000"), (1.5, b"1.5"), ("-5", b"-5"), ("", b""), (10**30, b"1" + b"0" * 30)],
)
async def test_retry_after_is_sent_unchanged(sim: Simulator, retry_after: float | str, header: bytes) -> None:
    """Even an invalid value is sent as it was given."""
    response, _ = await send_raw(sim, rate_limited(retry_after=retry_after))
    assert b"Retry-After: " + header + b"\r\n" in response


async def test_several_retry_after_headers(sim: Simulator) -> None:
    """Several values are sent as several headers."""
    response, _ = await send_raw(sim, rate_limited(retry_after=("3", "4")))
    assert response.count(b"Retry-After") == 2


async def test_unknown_code(sim: Simulator) -> None:
    """599 is not documented."""
    assert json.loads((await send(sim, unknown_code()))[2])["code"] == 599


@pytest.mark.parametrize("status", [200, 502])
async def test_html_page_instead_of_json(sim: Simulator, status: int) -> None:
    """The page has status 200 or 502; the task was created."""
    status_found, headers, body = await send(sim, html_page(status))
    assert status_found == status
    assert headers["content-type"].startswith("text/html")
    assert body.startswith(b"<!DOCTYPE html>")
    assert len(sim.charges) == 1


async def test_blocked_1010(sim: Simulator) -> None:
    """The 403 is the firewall's; the account does not see the request."""
    status, _, body = await send(sim, blocked_1010())
    assert status == 403
    assert b"error code: 1010" in body
    assert not sim.charges


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_creates_nothing(sim: Simulator, status: int) -> None:
    """The response names another host."""
    status_found, headers, _ = await send(sim, redirect(status, "https://elsewhere.invalid/x"))
    assert (status_found, headers["location"]) == (status, "https://elsewhere.invalid/x")
    assert not sim.charges


# --- contents ---------------------------------------------------------------------------------------------------


async def test_corrupt_body_is_not_utf_8(sim: Simulator) -> None:
    """Invalid bytes are inserted in the middle."""
    with pytest.raises(UnicodeDecodeError):
        (await send(sim, corrupt_body()))[2].decode()


async def test_corrupt_gzip_cannot_be_decompressed(sim: Simulator) -> None:
    """The header announces gzip and the body starts like gzip."""
    _, headers, body = await send(sim, corrupt_body("gzip"))
    assert headers["content-encoding"] == "gzip"
    with pytest.raises(zlib.error):
        zlib.decompress(body, 31)


async def test_empty_body(sim: Simulator) -> None:
    """The status is 200."""
    assert (await send(sim, empty_body()))[2] == b""


async def test_byte_order_mark_precedes_the_json(sim: Simulator) -> None:
    """The JSON after it is complete."""
    assert json.loads((await send(sim, byte_order_mark()))[2].decode("utf-8-sig"))["code"] == 200


async def test_duplicate_keys_have_different_values(sim: Simulator) -> None:
    """There are two task ids; the last one is correct."""
    pairs: list[list[tuple[str, Any]]] = []
    json.loads(
        (await send(sim, duplicate_keys()))[2],
        object_pairs_hook=lambda items: pairs.append(items) or items,
    )
    ids = [value for name, value in pairs[0] if name == "taskId"]
    assert len(set(ids)) == 2
    assert ids[-1] in sim.tasks


async def test_not_a_number_adds_nan(sim: Simulator) -> None:
    """``NaN`` is not valid JSON."""
    assert b"NaN" in (await send(sim, not_a_number()))[2]


async def test_deep_nesting(sim: Simulator) -> None:
    """The lists are nested as deep as configured."""
    assert b"[" * 5000 + b"]" * 5000 in (await send(sim, deep_nesting(5000)))[2]


async def test_huge_integer(sim: Simulator) -> None:
    """The integer has as many digits as configured."""
    assert b"9" * 5000 in (await send(sim, huge_integer(5000)))[2]


async def test_huge_body_stops_when_the_client_disconnects(sim: Simulator) -> None:
    """The client does not have to read all of it."""
    _, ending = await send_raw(sim, huge_body(), limit=3 * 2**20)
    assert ending == "too long"


async def test_endless_body_is_chunked(sim: Simulator) -> None:
    """It ends only when the client disconnects."""
    response, ending = await send_raw(sim, endless_body(), limit=200_000)
    assert ending == "too long"
    assert parts_of(response)[1]["transfer-encoding"] == "chunked"


async def test_gzip_bomb(sim: Simulator) -> None:
    """A small body decompresses to the configured size."""
    _, headers, body = await send(sim, gzip_bomb(8 * 2**20))
    assert headers["content-encoding"] == "gzip"
    assert len(body) < 2**16
    assert len(zlib.decompressobj(31).decompress(body)) == 8 * 2**20


async def test_many_headers(sim: Simulator) -> None:
    """There are as many headers as configured."""
    response, _ = await send_raw(sim, many_headers(3000))
    assert response.count(b"\r\nX-Filler-") == 3000


@pytest.mark.parametrize("variant", sorted(MUTATIONS))
async def test_wrong_types(sim: Simulator, variant: str) -> None:
    """The response is JSON, but not in the provider's format."""
    good = {"code", "msg", "data"}
    value = json.loads((await send(sim, wrong_types(variant)))[2])
    is_good = (
        isinstance(value, dict)
        and set(value) == good
        and value["code"] == 200
        and isinstance(value["msg"], str)
        and isinstance(value["data"], dict)
        and isinstance(value["data"].get("taskId"), str)
        and value["data"]["taskId"]
    )
    assert not is_good


async def test_wrong_types_are_drawn_by_seed(sim: Simulator) -> None:
    """Without a variant, the same seed draws the same variants."""
    sim.inject(wrong_types(seed=1, on=range(1, 6)), wrong_types(seed=1, on=range(6, 11)))
    bodies = [(await send(sim))[2] for _ in range(10)]
    shapes = [type(json.loads(body)).__name__ for body in bodies]
    assert shapes[:5] == shapes[5:]


async def test_tamper_changes_the_json(sim: Simulator) -> None:
    """Here two tasks get the same id."""
    sim.inject(tamper(lambda response: {**response, "data": {"taskId": "the-same"}}))
    ids = [json.loads((await send(sim))[2])["data"]["taskId"] for _ in range(2)]
    assert ids == ["the-same", "the-same"]
    assert len(sim.tasks) == 2


@pytest.mark.parametrize("value", [7, "weird", None, 0])
async def test_record_flag_is_set_once(sim: Simulator, value: Any) -> None:
    """The next record has the real flag again."""
    task_id = json.loads((await send(sim))[2])["data"]["taskId"]
    sim.inject(record_flag(value, on=1))
    sim.advance(1)
    request = get_bytes(f"/api/v1/veo/record-info?taskId={task_id}", sim.api_key)
    flags = [json.loads(parts_of((await raw_exchange(sim.url, request))[0])[2])["data"]["successFlag"] for _ in "ab"]
    assert flags == [value, 1]


# --- downloads --------------------------------------------------------------------------------------------------


async def download(sim: Simulator, *faults: Fault, **headers: str) -> tuple[int, dict[str, str], bytes, bytes]:
    """Return the parts of a download with *faults*, and the body of one without."""
    _, _, body = await send(sim)
    sim.advance(1)
    task = sim.tasks[json.loads(body)["data"]["taskId"]]
    path = task.urls[0].removeprefix(sim.url)
    whole = parts_of((await raw_exchange(sim.url, get_bytes(path)))[0])[2]
    sim.inject(*faults)
    return (*parts_of((await raw_exchange(sim.url, get_bytes(path, **headers)))[0]), whole)


async def test_truncated_download_is_shorter_than_announced(sim: Simulator) -> None:
    """Half of the file is received."""
    _, headers, body, whole = await download(sim, truncate(endpoint="download"))
    assert len(body) == len(whole) // 2
    assert int(headers["content-length"]) == len(whole)


async def test_wrong_length_announces_what_it_sends(sim: Simulator) -> None:
    """Half of the file is sent as if it were complete."""
    _, headers, body, whole = await download(sim, wrong_length())
    assert body == whole[: len(whole) // 2]
    assert int(headers["content-length"]) == len(body)


async def test_ignored_range_sends_the_whole_file(sim: Simulator) -> None:
    """The status is 200."""
    status, _, body, whole = await download(sim, ignored_range(), Range="bytes=100-")
    assert (status, body) == (200, whole)


async def test_wrong_range_starts_earlier(sim: Simulator) -> None:
    """``Content-Range`` states what is really sent."""
    _, headers, body, whole = await download(sim, wrong_range(), Range="bytes=1500-")
    assert headers["content-range"] == f"bytes 500-{len(whole) - 1}/{len(whole)}"
    assert body == whole[500:]


async def test_wrong_range_states_another_total(sim: Simulator) -> None:
    """The 206 appears to belong to another file."""
    _, headers, _, whole = await download(sim, wrong_range("total"), Range="bytes=100-")
    assert headers["content-range"] == f"bytes 100-{len(whole) - 1}/{len(whole) + 1000}"


async def test_range_not_satisfiable_for_a_valid_range(sim: Simulator) -> None:
    """The 416 states the real size."""
    status, headers, _, whole = await download(sim, range_not_satisfiable(), Range="bytes=100-")
    assert (status, headers["content-range"]) == (416, f"bytes */{len(whole)}")


async def test_not_mp4_sends_noise_of_the_same_length(sim: Simulator) -> None:
    """The bytes are random."""
    _, _, noise, whole = await download(sim, not_mp4())
    assert len(noise) == len(whole)
    assert noise[4:8] != b"ftyp"


async def test_not_mp4_sends_a_video_without_index(sim: Simulator) -> None:
    """Only the box that a player needs is missing."""
    _, _, body, whole = await download(sim, not_mp4("no-moov"))
    assert body == whole.replace(b"moov", b"free", 1) != whole


async def test_not_mp4_sends_json_with_a_video_content_type(sim: Simulator) -> None:
    """The body is an error in JSON."""
    status, headers, body, _ = await download(sim, not_mp4("json"))
    assert (status, headers["content-type"]) == (200, "video/mp4")
    assert json.loads(body)["code"] == 404


async def test_changed_file_affects_ranges_only(sim: Simulator) -> None:
    """A 206 has another ETag and other bytes; a whole file is unchanged."""
    status, headers, body, whole = await download(sim, changed_file(), Range="bytes=100-")
    assert (status, headers["etag"], len(body)) == (206, '"changed"', len(whole) - 100)
    assert body != whole[100:]
    status, _, body, whole = await download(sim, changed_file())
    assert (status, body) == (200, whole)


@pytest.mark.parametrize(
    ("fault", "status", "beginning"),
    [
        (html_page(endpoint="download"), 200, b"<!DOCTYPE html>"),
        (empty_body(endpoint="download"), 200, b""),
        (expired_link(), 403, b"<?xml"),
    ],
)
async def test_download_faults_replace_the_video(sim: Simulator, fault: Fault, status: int, beginning: bytes) -> None:
    """The response is a page, empty, or an error for an expired URL."""
    status_found, _, body, _ = await download(sim, fault)
    assert (status_found, body[: len(beginning) or None]) == (status, beginning)


async def test_redirect_of_a_download(sim: Simulator) -> None:
    """The download is redirected to another host."""
    status_found = await download(sim, redirect(302, "http://169.254.169.254/", endpoint="download"))
    assert status_found[1]["location"] == "http://169.254.169.254/"
