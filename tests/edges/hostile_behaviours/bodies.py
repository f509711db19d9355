"""Bodies and codes: JSON that is broken, strange or too large, wrong task ids, and errors."""

import json
from typing import Any

from .exchange import API, Exchange, behaviour


@behaviour(*API)
async def invalid_json(x: Exchange) -> None:
    x.body = x.rng.choice((b"", b"null", b"[]", b"{", b"\xff\xfe{}", b"NaN", b'"text"', x.body[:-1], x.body * 2))
    await x.send(x.head(), x.body)


@behaviour(*API)
async def deep_json(x: Exchange) -> None:
    x.body = b'{"code":200,"msg":"success","data":' + b"[" * 5000 + b"]" * 5000 + b"}"
    await x.send(x.head(), x.body)


@behaviour(*API)
async def huge_body(x: Exchange) -> None:
    x.body = x.body + b" " * (2 * 2**20)
    await x.send(x.head(), x.body)


@behaviour(*API)
async def wrong_data(x: Exchange) -> None:
    values: list[Any] = [[], "text", 5, {}, [{}], True]
    if x.request.endpoint != "record-info":  # there it says that no record exists, as `no_record` does
        values.append(None)
    await x.send_json({"code": 200, "msg": "success", "data": x.rng.choice(values)})


@behaviour(*API)
async def wrong_types(x: Exchange) -> None:
    value = json.loads(x.body)
    data = value["data"] or {}
    names = [name for name in data if name != "taskId"] or ["msg"]
    await x.send_json({**value, "data": {**data, x.rng.choice(names): x.rng.choice(({}, [], -1, 1e300, "\0", True))}})


@behaviour("record-info")
async def surrogate_in_record(x: Exchange) -> None:
    names = ("note", "failMsg", "param") if x.provider.route == "jobs" else ("note", "errorMessage", "paramJson")
    name = x.rng.choice(names)
    await x.send_json(x.altered(**{name: "half an emoji: \ud83d"}))


@behaviour(*API)
async def surrogate_in_message(x: Exchange) -> None:
    await x.send_json({"code": 500, "msg": "half an emoji: \ud83d", "data": None})


@behaviour("generate", accepts="always")
async def surrogate_in_task_id(x: Exchange) -> None:
    await x.send_json(x.altered(taskId=f"{x.task_id}\ud83d"))


@behaviour("generate", accepts="always")
async def strange_task_id(x: Exchange) -> None:
    ids = (12345, 1.5, True, [], {}, "", " ", "a\0b", "x" * 100_000, "../x")
    await x.send_json(x.altered(taskId=x.rng.choice(ids)))


@behaviour("generate", accepts="always")
async def task_id_of_another_job(x: Exchange) -> None:
    await x.send_json(x.altered(taskId=x.provider.other_task(x.task_id, x.rng)))


@behaviour("generate", accepts="always")
async def unknown_task_id(x: Exchange) -> None:
    await x.send_json(x.altered(taskId=x.rng.randbytes(16).hex()))


# --- codes ------------------------------------------------------------------------------------------------------


def error(code: int, message: str, data: Any = None) -> dict[str, Any]:
    return {"code": code, "msg": message, "data": data}


@behaviour(*API, accepts="never")
async def rate_limited(x: Exchange) -> None:
    if x.rng.random() < 0.5:
        x.headers["Retry-After"] = x.rng.choice(("1", "7", "-5", "soon", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT"))
    message = "Your call frequency is too high. Please try again later."
    await x.send_json(error(429, message), x.rng.choice((200, 429)))


@behaviour("generate", accepts="always")
async def rate_limited_with_task_id(x: Exchange) -> None:
    body: dict[str, Any] = {"msg": "too many", "data": {"taskId": x.task_id}}
    await x.send_json(x.rng.choice((body, {**body, "code": 429})), 429)


@behaviour("generate", accepts="always")
async def error_with_task_id(x: Exchange) -> None:
    code = x.rng.choice((400, 422, 455, 500, 501))
    await x.send_json(error(code, "Internal Error", {"taskId": x.task_id}), x.rng.choice((200, 500)))


@behaviour(*API)
async def server_error(x: Exchange) -> None:
    code = x.rng.choice((500, 502, 504))
    await x.send_json(error(code, "Internal Error, Please try again later."), x.rng.choice((200, code)))


@behaviour(*API, accepts="never")
async def maintenance(x: Exchange) -> None:
    await x.send_json(error(455, "Service Unavailable"), x.rng.choice((200, 455)))
