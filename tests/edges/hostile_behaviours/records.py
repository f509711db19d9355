"""Records and files: of another task, without URLs, too old, cut short, or not a video."""

from .bodies import error
from .exchange import API, Exchange, behaviour


@behaviour("record-info")
async def record_of_another_task(x: Exchange) -> None:
    await x.send_json(x.provider.record(x.provider.other_task(x.task_id, x.rng)))


@behaviour(*API)
async def response_to_another_request(x: Exchange) -> None:
    accepted = {"taskId": x.provider.other_task(x.task_id, x.rng)}
    is_poll = x.request.endpoint == "record-info"
    await x.send_json(error(200, "success", x.rng.choice((100_000, accepted)) if is_poll else 100_000))


@behaviour("generate", accepts="always")
async def record_instead_of_acceptance(x: Exchange) -> None:
    await x.send_json(x.provider.record(x.provider.other_task(x.task_id, x.rng)))


@behaviour("record-info")
async def success_without_urls(x: Exchange) -> None:
    urls = x.rng.choice((None, [], [None], "", "[]", "not a url"))
    await x.send_json(x.with_result(urls))


@behaviour("record-info")
async def other_flag(x: Exchange) -> None:
    if x.provider.route == "jobs":
        state = x.rng.choice(("fail", "waiting", "cancelled", "FAIL", "", 3, None))
        await x.send_json(x.altered(state=state, resultJson="", failCode="500", failMsg="failed"))
    else:
        flag = x.rng.choice((0, 2, 3, 7, -1, "1", None, "success"))
        await x.send_json(x.altered(successFlag=flag, response=None, errorCode=500, errorMessage="failed"))


@behaviour("record-info")
async def too_old_too_early(x: Exchange) -> None:
    await x.send_json(error(422, "Temporarily supports records within 14 days."))


@behaviour("record-info")
async def no_record(x: Exchange) -> None:
    await x.send_json(error(422, "record is null."))


@behaviour("record-info")
async def dangerous_urls(x: Exchange) -> None:
    urls = ("file:///etc/passwd", "http://169.254.169.254/x.mp4", "https://user:pw@[::1]/", "http://[", "//")
    await x.send_json(x.with_result([x.rng.choice(urls)]))


# --- files ------------------------------------------------------------------------------------------------------


@behaviour("download")
async def short_file(x: Exchange) -> None:
    x.body = x.body[: len(x.body) - x.rng.randrange(1, 1000)]
    await x.send(x.head(), x.body)


@behaviour("download")
async def page_instead_of_file(x: Exchange) -> None:
    x.body = x.rng.choice((b"<!DOCTYPE html><h1>Expired</h1>", b'{"code":404}', b"", bytes(5000)))
    await x.send(x.head(), x.body)


@behaviour("download")
async def file_error(x: Exchange) -> None:
    x.status, x.body = x.rng.choice((403, 404, 410, 416, 429, 500, 503)), b"no"
    await x.send(x.head(), x.body)


@behaviour("download")
async def wrong_range(x: Exchange) -> None:
    clip = len(x.body)
    x.status = 206
    x.headers["Content-Range"] = x.rng.choice((f"bytes 5-{clip + 4}/{clip + 5}", "bytes */10", "bytes 0-1/2", "junk"))
    await x.send(x.head(), x.body)
