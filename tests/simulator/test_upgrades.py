"""1080p, 4K and extensions: their life cycles, prices and odd answers."""

import json

import pytest

from .support import URL, Bench, bench


def done(at: Bench, prompt: str = "a dog", **fields: str) -> str:
    task_id = at.generate(prompt, **fields)
    at.pass_(60)
    return task_id


def test_1080p_is_started_by_the_first_call_and_charged_once() -> None:
    """The first GET costs 5 credits and says "not yet"; later ones cost nothing and bring the URL."""
    at = bench()
    task_id = done(at)
    before = at.credits
    told = at.told("get-1080p-video", taskId=task_id, index="0")
    assert told == {
        "code": 400,
        "msg": "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.",
        "data": None,
    }
    at.pass_(60)
    ready = at.told("get-1080p-video", taskId=task_id)
    assert ready["data"] == {"resultUrl": f"{URL}/files/p/{task_id}_{at.now:.0f}.mp4"}
    assert before - at.credits == 5
    assert at.download(ready["data"]["resultUrl"]).body[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("form", "status", "code"), [("400-body", 200, 400), ("400-http", 400, 400), ("422-body", 200, 422)]
)
def test_1080p_says_not_yet_in_three_forms(form: str, status: int, code: int) -> None:
    """All forms that users have met."""
    at = bench(not_ready_1080p=form)
    answer = at.ask("get-1080p-video", taskId=done(at))
    assert (answer.status, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("word", ["", "[fail]"])
def test_upgrades_want_a_finished_source(word: str) -> None:
    """Of a running or a failed task there is neither 1080p nor 4K, and nothing is charged."""
    at = bench()
    task_id = at.generate(f"a dog {word}")
    at.pass_(60 if word else 0)
    answers = at.told("get-1080p-video", taskId=task_id), at.told("get-4k-video", {"taskId": task_id})
    assert {(told["code"], told["msg"]) for told in answers} == {(422, "record status is not success.")}
    assert len(at.provider.charges) == 1


def test_an_index_beyond_the_videos_does_not_exist() -> None:
    """Every task has one video, of index 0."""
    at = bench()
    assert at.told("get-1080p-video", taskId=done(at), index="1")["msg"] == "record result data not exist."


def test_4k_goes_through_its_three_answers() -> None:
    """200 with nulls, 422 while it is made, 422 that is a success; charged once."""
    at = bench()
    task_id = done(at)
    before = at.credits
    first, again = (at.told("get-4k-video", {"taskId": task_id}) for _ in range(2))
    assert first == {
        "code": 200,
        "msg": "success",
        "data": {"taskId": task_id, "resultUrls": None, "imageUrls": None},
    }
    assert again["code"] == 422
    assert again["msg"] == "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."
    assert again["data"] == first["data"]
    at.pass_(60)
    made = at.told("get-4k-video", {"taskId": task_id})
    assert (made["code"], made["msg"]) == (422, "The video has been generated successfully")
    assert at.download(made["data"]["resultUrls"][0]).body[4:8] == b"ftyp"
    assert dict(at.download(made["data"]["imageUrls"][0]).headers)["Content-Type"] == "image/jpeg"
    assert before - at.credits == 120


def test_4k_can_be_done_with_200() -> None:
    """The form of third-party pages: a success that looks like one."""
    at = bench(done_4k="200")
    task_id = done(at)
    at.told("get-4k-video", {"taskId": task_id})
    at.pass_(60)
    told = at.told("get-4k-video", {"taskId": task_id})
    assert (told["code"], len(told["data"]["resultUrls"])) == (200, 1)


def test_4k_can_have_an_id_of_its_own() -> None:
    """Then record-info knows it, without ``fallbackFlag`` and with ``mediaIds``."""
    at = bench(four_k_task_id="new")
    source = done(at)
    own = at.told("get-4k-video", {"taskId": source})["data"]["taskId"]
    assert own != source
    at.pass_(60)
    data = at.record(own)["data"]
    assert "fallbackFlag" not in data
    assert data["response"]["mediaIds"]
    assert data["response"]["resolution"] == "4k"


def test_4k_can_fail_and_is_refunded() -> None:
    """[fail-4k]: the clip is fine, its upgrade is not; the credits come back and the callback says why."""
    at = bench()
    task_id = done(at, "a dog [fail-4k]")
    before = at.credits
    at.told("get-4k-video", {"taskId": task_id, "callBackUrl": "http://127.0.0.1:1/4k"})
    at.pass_(60)
    (post,) = at.provider.due_callbacks(at.now)
    told = json.loads(post.body)
    assert told == {
        "code": 500,
        "msg": "The 4K version of this video is unavailable. Please try a different video.",
        "data": {"taskId": task_id},
    }
    assert at.told("get-4k-video", {"taskId": task_id})["code"] == 500
    assert at.credits == before


@pytest.mark.parametrize("form", ["info", "snake"])
def test_4k_callbacks_come_in_both_documented_forms(form: str) -> None:
    """Camel case in ``data.info``, or snake case directly in ``data``."""
    at = bench(four_k_callback=form)
    task_id = done(at)
    at.told("get-4k-video", {"taskId": task_id, "callBackUrl": "http://127.0.0.1:1/4k"})
    at.pass_(60)
    data = json.loads(at.provider.due_callbacks(at.now)[0].body)["data"]
    if form == "info":
        assert set(data) == {"taskId", "info"}
        assert set(data["info"]) == {"resultUrls", "imageUrls"}
    else:
        assert set(data) == {"task_id", "result_urls", "media_ids", "image_urls"}


def test_an_extension_is_a_task_with_both_videos() -> None:
    """A new id; the segment in ``resultUrls``, the whole in ``fullResultUrls``; charged by its own table."""
    at = bench()
    source = done(at)
    before = at.credits
    extended = at.told("extend", {"taskId": source, "prompt": "on", "model": "quality"})["data"]["taskId"]
    assert before - at.credits == 250
    at.pass_(60)
    response = at.record(extended)["data"]["response"]
    assert len(response["resultUrls"]) == len(response["fullResultUrls"]) == 1
    segment, whole = (at.download(response[name][0]).body for name in ("resultUrls", "fullResultUrls"))
    assert segment != whole


@pytest.mark.parametrize("code", [404, 422])
def test_an_unknown_source_cannot_be_extended(code: int) -> None:
    """404 by the page; 422 can be had."""
    told = bench(extend_unknown_code=code).told("extend", {"taskId": "nobody", "prompt": "on"})
    assert (told["code"], told["msg"]) == (code, "Original video or task does not exist")


def test_a_source_taken_to_1080p_cannot_be_extended() -> None:
    """The extend page's warning holds."""
    at = bench()
    source = done(at)
    at.told("get-1080p-video", taskId=source)
    assert at.told("extend", {"taskId": source, "prompt": "on"})["code"] == 422


@pytest.mark.parametrize(
    "body", [{"prompt": "on"}, {"taskId": "x"}, {"taskId": "x", "prompt": "on", "model": "veo3_fast"}]
)
def test_a_bad_extension_is_422(body: dict[str, str]) -> None:
    """No source, no prompt, or a model name of generate's."""
    assert bench().told("extend", body)["code"] == 422


def test_extensions_can_be_chained() -> None:
    """An extension is a source like any other."""
    at = bench()
    first = at.told("extend", {"taskId": done(at), "prompt": "on"})["data"]["taskId"]
    at.pass_(60)
    assert at.told("extend", {"taskId": first, "prompt": "and on"})["code"] == 200


def test_a_running_source_cannot_be_extended() -> None:
    """It must have succeeded first."""
    at = bench()
    told = at.told("extend", {"taskId": at.generate(), "prompt": "on"})
    assert (told["code"], told["msg"]) == (422, "record status is not success.")
