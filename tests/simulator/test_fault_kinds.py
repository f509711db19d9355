"""Each kind of trouble, as a client without a library of ours meets it on the wire."""

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

from .support import get_bytes, parts_of, post_bytes, raw_exchange


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(duration_s=1.0) as sim:
        yield sim


async def generate(sim: Simulator, *faults: Fault, limit: int = 2**20) -> tuple[bytes, str]:
    sim.inject(*faults)
    return await raw_exchange(sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, {"prompt": "x"}), limit=limit)


async def told(sim: Simulator, *faults: Fault) -> tuple[int, dict[str, str], bytes]:
    answer, ending = await generate(sim, *faults)
    assert ending == "closed"
    return parts_of(answer)


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
async def test_a_lost_answer(sim: Simulator, fault: Fault, ending: str, charges: int) -> None:
    """Not one byte comes back; whether the task was made depends on the moment."""
    assert await generate(sim, fault) == (b"", ending)
    assert len(sim.charges) == charges
    assert [fired.fault for fired in sim.triggered_faults] == [fault]


async def test_a_reset_in_mid_answer(sim: Simulator) -> None:
    """Half of the body, then RST."""
    answer, ending = await generate(sim, reset_connection("middle"))
    assert ending == "reset"
    assert answer == b"" or not answer.endswith(b"}")
    assert len(sim.charges) == 1


async def test_a_truncated_answer(sim: Simulator) -> None:
    """The announced length is not kept."""
    status, headers, body = await told(sim, truncate(10))
    assert (status, len(body)) == (200, 10)
    assert int(headers["content-length"]) > 10


async def test_a_delay_before_accepting(sim: Simulator) -> None:
    """While it lasts nothing has been made."""
    sending = asyncio.create_task(generate(sim, delay(0.1)))
    await asyncio.sleep(0.05)
    assert len(sim.requests) == 1
    assert not sim.charges
    await sending
    assert len(sim.charges) == 1


async def test_a_delay_after_accepting(sim: Simulator) -> None:
    """The task is made at once, and the answer comes later."""
    sending = asyncio.create_task(generate(sim, delay(0.1, before=False)))
    await asyncio.sleep(0.05)
    assert len(sim.charges) == 1
    assert not sending.done()
    assert parts_of((await sending)[0])[0] == 200


async def test_a_slow_drip(sim: Simulator) -> None:
    """Byte after byte; all of it in the end."""
    began = asyncio.get_running_loop().time()
    _, _, body = await told(sim, slow_body(0.001))
    assert asyncio.get_running_loop().time() - began >= 0.001 * len(body)
    assert json.loads(body)["code"] == 200


# --- refusals ---------------------------------------------------------------------------------------------------


async def test_an_ordered_429(sim: Simulator) -> None:
    """In the form and with the header that were asked for."""
    status, headers, body = await told(sim, rate_limited(retry_after=4))
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (429, "4", 429)
    assert not sim.charges


async def test_an_ordered_429_in_the_body(sim: Simulator) -> None:
    """HTTP 200, code 429, and whatever stands in ``Retry-After``."""
    status, headers, body = await told(sim, rate_limited(retry_after="soon", form="body"))
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (200, "soon", 429)


async def test_an_ordered_429_with_a_date(sim: Simulator) -> None:
    """One ``Date``, and a ``Retry-After`` relative to it."""
    answer, _ = await generate(sim, rate_limited(retry_after=7, retry_after_as="date"))
    assert answer.lower().count(b"\r\ndate:") == 1
    assert parts_of(answer)[1]["retry-after"].endswith("GMT")


@pytest.mark.parametrize(
    ("wish", "header"), [(1_000_000, b"1000000"), (1.5, b"1.5"), ("-5", b"-5"), ("", b""), (10**30, b"1" + b"0" * 30)]
)
async def test_any_retry_after(sim: Simulator, wish: float | str, header: bytes) -> None:
    """Sensible or not, it stands in the answer as it was ordered."""
    answer, _ = await generate(sim, rate_limited(retry_after=wish))
    assert b"Retry-After: " + header + b"\r\n" in answer


async def test_two_retry_afters(sim: Simulator) -> None:
    """Several of them stand there, too."""
    answer, _ = await generate(sim, rate_limited(retry_after=("3", "4")))
    assert answer.count(b"Retry-After") == 2


async def test_an_unknown_code(sim: Simulator) -> None:
    """599 is in no list."""
    assert json.loads((await told(sim, unknown_code()))[2])["code"] == 599


@pytest.mark.parametrize("status", [200, 502])
async def test_a_page_instead_of_json(sim: Simulator, status: int) -> None:
    """HTML as a success or as a gateway's error; behind it the task was made."""
    found, headers, body = await told(sim, html_page(status))
    assert found == status
    assert headers["content-type"].startswith("text/html")
    assert body.startswith(b"<!DOCTYPE html>")
    assert len(sim.charges) == 1


async def test_a_gate_in_front(sim: Simulator) -> None:
    """403 with the gate's mark; the account never saw the call."""
    status, _, body = await told(sim, blocked_1010())
    assert status == 403
    assert b"error code: 1010" in body
    assert not sim.charges


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect(sim: Simulator, status: int) -> None:
    """Somewhere else, and nothing made."""
    found, headers, _ = await told(sim, redirect(status, "https://elsewhere.invalid/x"))
    assert (found, headers["location"]) == (status, "https://elsewhere.invalid/x")
    assert not sim.charges


# --- contents ---------------------------------------------------------------------------------------------------


async def test_bytes_that_are_no_text(sim: Simulator) -> None:
    """Invalid UTF-8 in the middle."""
    with pytest.raises(UnicodeDecodeError):
        (await told(sim, corrupt_body()))[2].decode()


async def test_gzip_that_does_not_unpack(sim: Simulator) -> None:
    """Announced as gzip, begun like gzip, and broken."""
    _, headers, body = await told(sim, corrupt_body("gzip"))
    assert headers["content-encoding"] == "gzip"
    with pytest.raises(zlib.error):
        zlib.decompress(body, 31)


async def test_an_empty_body(sim: Simulator) -> None:
    """200 and nothing."""
    assert (await told(sim, empty_body()))[2] == b""


async def test_a_byte_order_mark(sim: Simulator) -> None:
    """The JSON is whole behind it."""
    assert json.loads((await told(sim, byte_order_mark()))[2].decode("utf-8-sig"))["code"] == 200


async def test_the_same_name_twice(sim: Simulator) -> None:
    """Two task ids; only one of them is ours."""
    pairs: list[list[tuple[str, Any]]] = []
    json.loads((await told(sim, duplicate_keys()))[2], object_pairs_hook=lambda found: pairs.append(found) or found)
    ids = [value for name, value in pairs[0] if name == "taskId"]
    assert len(set(ids)) == 2
    assert ids[-1] in sim.tasks


async def test_nan(sim: Simulator) -> None:
    """A constant that JSON does not have."""
    assert b"NaN" in (await told(sim, not_a_number()))[2]


async def test_deep_nesting(sim: Simulator) -> None:
    """As deep as was ordered."""
    assert b"[" * 5000 + b"]" * 5000 in (await told(sim, deep_nesting(5000)))[2]


async def test_a_huge_integer(sim: Simulator) -> None:
    """As many digits as were ordered."""
    assert b"9" * 5000 in (await told(sim, huge_integer(5000)))[2]


async def test_a_huge_body(sim: Simulator) -> None:
    """Nobody has to read it all: the server stops when the client goes."""
    _, ending = await generate(sim, huge_body(), limit=3 * 2**20)
    assert ending == "too long"


async def test_an_endless_body(sim: Simulator) -> None:
    """Chunk after chunk, until the client goes."""
    answer, ending = await generate(sim, endless_body(), limit=200_000)
    assert ending == "too long"
    assert parts_of(answer)[1]["transfer-encoding"] == "chunked"


async def test_a_gzip_bomb(sim: Simulator) -> None:
    """A small answer that unpacks to as much as was ordered."""
    _, headers, body = await told(sim, gzip_bomb(8 * 2**20))
    assert headers["content-encoding"] == "gzip"
    assert len(body) < 2**16
    assert len(zlib.decompressobj(31).decompress(body)) == 8 * 2**20


async def test_many_headers(sim: Simulator) -> None:
    """As many as were ordered."""
    answer, _ = await generate(sim, many_headers(3000))
    assert answer.count(b"\r\nX-Filler-") == 3000


@pytest.mark.parametrize("how", sorted(MUTATIONS))
async def test_wrong_types(sim: Simulator, how: str) -> None:
    """Still JSON, and not of the provider's form."""
    good = {"code", "msg", "data"}
    value = json.loads((await told(sim, wrong_types(how)))[2])
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


async def test_wrong_types_by_seed(sim: Simulator) -> None:
    """Without a name the dice choose, the same for the same seed."""
    sim.inject(wrong_types(seed=1, on=range(1, 6)), wrong_types(seed=1, on=range(6, 11)))
    bodies = [(await told(sim))[2] for _ in range(10)]
    shapes = [type(json.loads(body)).__name__ for body in bodies]
    assert shapes[:5] == shapes[5:]


async def test_a_made_to_measure_answer(sim: Simulator) -> None:
    """`tamper` turns the answer's JSON into anything: here the same task id for two tasks."""
    sim.inject(tamper(lambda answer: {**answer, "data": {"taskId": "the-same"}}))
    ids = [json.loads((await told(sim))[2])["data"]["taskId"] for _ in range(2)]
    assert ids == ["the-same", "the-same"]
    assert len(sim.tasks) == 2


@pytest.mark.parametrize("value", [7, "weird", None, 0])
async def test_an_unknown_status(sim: Simulator, value: Any) -> None:
    """A record's flag is whatever was ordered, once."""
    task_id = json.loads((await told(sim))[2])["data"]["taskId"]
    sim.inject(record_flag(value, on=1))
    sim.advance(1)
    request = get_bytes(f"/api/v1/veo/record-info?taskId={task_id}", sim.api_key)
    flags = [json.loads(parts_of((await raw_exchange(sim.url, request))[0])[2])["data"]["successFlag"] for _ in "ab"]
    assert flags == [value, 1]


# --- downloads --------------------------------------------------------------------------------------------------


async def film(sim: Simulator, *faults: Fault, **headers: str) -> tuple[int, dict[str, str], bytes, bytes]:
    """What a download says under *faults*, and what it would have said in whole."""
    _, _, body = await told(sim)
    sim.advance(1)
    task = sim.tasks[json.loads(body)["data"]["taskId"]]
    path = task.urls[0].removeprefix(sim.url)
    whole = parts_of((await raw_exchange(sim.url, get_bytes(path)))[0])[2]
    sim.inject(*faults)
    return (*parts_of((await raw_exchange(sim.url, get_bytes(path, **headers)))[0]), whole)


async def test_a_truncated_download(sim: Simulator) -> None:
    """Fewer bytes than announced."""
    _, headers, body, whole = await film(sim, truncate(endpoint="download"))
    assert len(body) == len(whole) // 2
    assert int(headers["content-length"]) == len(whole)


async def test_a_download_of_the_wrong_length(sim: Simulator) -> None:
    """Half a film that says it is whole."""
    _, headers, body, whole = await film(sim, wrong_length())
    assert body == whole[: len(whole) // 2]
    assert int(headers["content-length"]) == len(body)


async def test_an_ignored_range(sim: Simulator) -> None:
    """200 and all of it."""
    status, _, body, whole = await film(sim, ignored_range(), Range="bytes=100-")
    assert (status, body) == (200, whole)


async def test_a_range_that_starts_elsewhere(sim: Simulator) -> None:
    """A 206 that is honest about not being what was asked."""
    _, headers, body, whole = await film(sim, wrong_range(), Range="bytes=1500-")
    assert headers["content-range"] == f"bytes 500-{len(whole) - 1}/{len(whole)}"
    assert body == whole[500:]


async def test_a_range_with_another_total(sim: Simulator) -> None:
    """A 206 of another file, by its total."""
    _, headers, _, whole = await film(sim, wrong_range("total"), Range="bytes=100-")
    assert headers["content-range"] == f"bytes 100-{len(whole) - 1}/{len(whole) + 1000}"


async def test_a_refused_range(sim: Simulator) -> None:
    """416 although there is more."""
    status, headers, _, whole = await film(sim, range_not_satisfiable(), Range="bytes=100-")
    assert (status, headers["content-range"]) == (416, f"bytes */{len(whole)}")


async def test_a_download_that_is_noise(sim: Simulator) -> None:
    """The right length, and no film."""
    _, _, noise, whole = await film(sim, not_mp4())
    assert len(noise) == len(whole)
    assert noise[4:8] != b"ftyp"


async def test_a_download_without_an_index(sim: Simulator) -> None:
    """The same boxes, all but the one that a player needs."""
    _, _, body, whole = await film(sim, not_mp4("no-moov"))
    assert body == whole.replace(b"moov", b"free", 1) != whole


async def test_an_error_under_a_films_type(sim: Simulator) -> None:
    """JSON that calls itself a film."""
    status, headers, body, _ = await film(sim, not_mp4("json"))
    assert (status, headers["content-type"]) == (200, "video/mp4")
    assert json.loads(body)["code"] == 404


async def test_a_part_of_another_version(sim: Simulator) -> None:
    """A 206 with another ETag; the whole file is left as it is."""
    status, headers, body, whole = await film(sim, changed_file(), Range="bytes=100-")
    assert (status, headers["etag"], len(body)) == (206, '"changed"', len(whole) - 100)
    assert body != whole[100:]
    status, _, body, whole = await film(sim, changed_file())
    assert (status, body) == (200, whole)


@pytest.mark.parametrize(
    ("fault", "status", "beginning"),
    [
        (html_page(endpoint="download"), 200, b"<!DOCTYPE html>"),
        (empty_body(endpoint="download"), 200, b""),
        (expired_link(), 403, b"<?xml"),
    ],
)
async def test_a_download_that_is_no_film(sim: Simulator, fault: Fault, status: int, beginning: bytes) -> None:
    """A page, nothing at all, or an expired address."""
    found, _, body, _ = await film(sim, fault)
    assert (found, body[: len(beginning) or None]) == (status, beginning)


async def test_a_download_elsewhere(sim: Simulator) -> None:
    """A redirect to another host."""
    found = await film(sim, redirect(302, "http://169.254.169.254/", endpoint="download"))
    assert found[1]["location"] == "http://169.254.169.254/"
