"""1080p, 4K and extensions: their states, their prices and their unusual responses."""

import json

import pytest

from .support import URL, Bench, bench


def done(sim: Bench, prompt: str = "a dog", **fields: str) -> str:
    task_id = sim.generate(prompt, **fields)
    sim.advance(60)
    return task_id


def test_1080p_is_started_and_charged_by_the_first_request() -> None:
    """It costs 5 credits and returns "not ready"; later requests are free and return the URL."""
    sim = bench()
    task_id = done(sim)
    before = sim.credits
    response = sim.request_json("get-1080p-video", taskId=task_id, index="0")
    assert response == {
        "code": 400,
        "msg": "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.",
        "data": None,
    }
    sim.advance(60)
    ready = sim.request_json("get-1080p-video", taskId=task_id)
    assert ready["data"] == {"resultUrl": f"{URL}/files/p/{task_id}_{sim.now:.0f}.mp4"}
    assert before - sim.credits == 5
    assert sim.download(ready["data"]["resultUrl"]).body[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("form", "status", "code"), [("400-body", 200, 400), ("400-http", 400, 400), ("422-body", 200, 422)]
)
def test_1080p_not_ready_in_each_style(form: str, status: int, code: int) -> None:
    """Users have observed all three."""
    sim = bench(not_ready_1080p=form)
    response = sim.request("get-1080p-video", taskId=done(sim))
    assert (response.status, response.json()["code"]) == (status, code)


@pytest.mark.parametrize("word", ["", "[fail]"])
def test_upgrade_of_an_unfinished_source_is_rejected(word: str) -> None:
    """Nothing is charged for a running or a failed task."""
    sim = bench()
    task_id = sim.generate(f"a dog {word}")
    sim.advance(60 if word else 0)
    responses = (
        sim.request_json("get-1080p-video", taskId=task_id),
        sim.request_json("get-4k-video", {"taskId": task_id}),
    )
    assert {(response["code"], response["msg"]) for response in responses} == {(422, "record status is not success.")}
    assert len(sim.provider.charges) == 1


def test_upgrade_of_an_unknown_index_is_rejected() -> None:
    """Every task has one video, with index 0."""
    sim = bench()
    assert sim.request_json("get-1080p-video", taskId=done(sim), index="1")["msg"] == "record result data not exist."


def test_4k_has_three_responses() -> None:
    """200 with nulls, 422 while it is processed, then 422 with the video. It is charged once."""
    sim = bench()
    task_id = done(sim)
    before = sim.credits
    first, again = (sim.request_json("get-4k-video", {"taskId": task_id}) for _ in range(2))
    assert first == {
        "code": 200,
        "msg": "success",
        "data": {"taskId": task_id, "resultUrls": None, "imageUrls": None},
    }
    assert again["code"] == 422
    assert again["msg"] == "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."
    assert again["data"] == first["data"]
    sim.advance(60)
    made = sim.request_json("get-4k-video", {"taskId": task_id})
    assert (made["code"], made["msg"]) == (422, "The video has been generated successfully")
    assert sim.download(made["data"]["resultUrls"][0]).body[4:8] == b"ftyp"
    assert dict(sim.download(made["data"]["imageUrls"][0]).headers)["Content-Type"] == "image/jpeg"
    assert before - sim.credits == 120


def test_4k_ready_with_200_by_setting() -> None:
    """Third-party documentation shows this form."""
    sim = bench(done_4k="200")
    task_id = done(sim)
    sim.request_json("get-4k-video", {"taskId": task_id})
    sim.advance(60)
    response = sim.request_json("get-4k-video", {"taskId": task_id})
    assert (response["code"], len(response["data"]["resultUrls"])) == (200, 1)


def test_4k_with_a_new_task_id_has_a_record() -> None:
    """The record has ``mediaIds`` and no ``fallbackFlag``."""
    sim = bench(four_k_task_id="new")
    source = done(sim)
    own = sim.request_json("get-4k-video", {"taskId": source})["data"]["taskId"]
    assert own != source
    sim.advance(60)
    data = sim.record(own)["data"]
    assert "fallbackFlag" not in data
    assert data["response"]["mediaIds"]
    assert data["response"]["resolution"] == "4k"


def test_failed_4k_is_refunded() -> None:
    """[fail-4k]: the clip succeeds, its upgrade fails, and the callback has the reason."""
    sim = bench()
    task_id = done(sim, "a dog [fail-4k]")
    before = sim.credits
    sim.request_json("get-4k-video", {"taskId": task_id, "callBackUrl": "http://127.0.0.1:1/4k"})
    sim.advance(60)
    (post,) = sim.provider.due_callbacks(sim.now)
    response = json.loads(post.body)
    assert response == {
        "code": 500,
        "msg": "The 4K version of this video is unavailable. Please try a different video.",
        "data": {"taskId": task_id},
    }
    assert sim.request_json("get-4k-video", {"taskId": task_id})["code"] == 500
    assert sim.credits == before


@pytest.mark.parametrize(("prompt", "options"), [("a dog [fail-1080p]", {}), ("a dog", {"failure_rate": 1.0})])
def test_failed_1080p_upgrade_ends_with_an_error_and_is_refunded(prompt: str, options: dict[str, float]) -> None:
    """It is "not ready" while it runs; then every request gets the error, and none is charged."""
    sim = bench()
    task_id = done(sim, prompt)
    before = sim.credits
    object.__setattr__(sim.provider.settings, "failure_rate", options.get("failure_rate", 0.0))
    assert sim.request_json("get-1080p-video", taskId=task_id)["code"] == 400
    sim.advance(60)
    for _ in range(2):
        assert sim.request_json("get-1080p-video", taskId=task_id) == {
            "code": 500,
            "msg": "The 1080P version of this video is unavailable. Please try a different video.",
            "data": None,
        }
    assert sim.credits == before


@pytest.mark.parametrize("form", ["info", "snake"])
def test_4k_callback_in_both_documented_formats(form: str) -> None:
    """Camel case in ``data.info``, or snake case directly in ``data``."""
    sim = bench(four_k_callback=form)
    task_id = done(sim)
    sim.request_json("get-4k-video", {"taskId": task_id, "callBackUrl": "http://127.0.0.1:1/4k"})
    sim.advance(60)
    data = json.loads(sim.provider.due_callbacks(sim.now)[0].body)["data"]
    if form == "info":
        assert set(data) == {"taskId", "info"}
        assert set(data["info"]) == {"resultUrls", "imageUrls"}
    else:
        assert set(data) == {"task_id", "result_urls", "media_ids", "image_urls"}


def test_extension_has_segment_and_full_video() -> None:
    """The new task has the segment in ``resultUrls`` and the whole in ``fullResultUrls``."""
    sim = bench()
    source = done(sim)
    before = sim.credits
    extended = sim.request_json("extend", {"taskId": source, "prompt": "on", "model": "quality"})["data"]["taskId"]
    assert before - sim.credits == 250
    sim.advance(60)
    response = sim.record(extended)["data"]["response"]
    assert len(response["resultUrls"]) == len(response["fullResultUrls"]) == 1
    segment, whole = (sim.download(response[name][0]).body for name in ("resultUrls", "fullResultUrls"))
    assert segment != whole


@pytest.mark.parametrize("code", [404, 422])
def test_extending_an_unknown_source_is_rejected(code: int) -> None:
    """The code is the documented 404, or 422 by a setting."""
    response = bench(extend_unknown_code=code).request_json("extend", {"taskId": "unknown", "prompt": "on"})
    assert (response["code"], response["msg"]) == (code, "Original video or task does not exist")


def test_extending_a_source_upgraded_to_1080p_is_rejected() -> None:
    """The provider's documentation warns about this."""
    sim = bench()
    source = done(sim)
    sim.request_json("get-1080p-video", taskId=source)
    assert sim.request_json("extend", {"taskId": source, "prompt": "on"})["code"] == 422


@pytest.mark.parametrize(
    "body", [{"prompt": "on"}, {"taskId": "x"}, {"taskId": "x", "prompt": "on", "model": "veo3_fast"}]
)
def test_invalid_extension_gets_422(body: dict[str, str]) -> None:
    """It lacks the source or the prompt, or uses a model name of generate."""
    assert bench().request_json("extend", body)["code"] == 422


def test_extensions_can_be_chained() -> None:
    """An extension can be extended, too."""
    sim = bench()
    first = sim.request_json("extend", {"taskId": done(sim), "prompt": "on"})["data"]["taskId"]
    sim.advance(60)
    assert sim.request_json("extend", {"taskId": first, "prompt": "and on"})["code"] == 200


def test_extending_a_running_source_is_rejected() -> None:
    """The source must have succeeded."""
    sim = bench()
    response = sim.request_json("extend", {"taskId": sim.generate(), "prompt": "on"})
    assert (response["code"], response["msg"]) == (422, "record status is not success.")
