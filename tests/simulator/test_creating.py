"""Creating requests: authorization, validation, charges and refunds."""

import json
from typing import Any

import pytest

from veo_async.simulator.faults.faulty_provider import FaultyProvider

from .support import KEY, REQUEST, Bench, bench


def refusal(sim: Bench, **body: Any) -> tuple[int, str]:
    response = sim.request_json("generate", body)
    return response["code"], response["msg"]


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_unknown_key_gets_code_401_in_the_body(key: str | None) -> None:
    """As observed: HTTP 200 with code 401 and no data."""
    response = bench().request("generate", {"prompt": "a dog", "model": "veo3_fast"}, key=key)
    assert (response.status, response.json()["code"], response.json()["data"]) == (200, 401, None)


def test_unknown_key_gets_http_401_with_setting() -> None:
    """``unknown_key_style="http"`` uses the HTTP status."""
    assert bench(unknown_key_style="http").request("credit", key="wrong").status == 401


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Please enter prompt"),
        ({"prompt": "  ", "model": "veo3_fast"}, "Please enter prompt"),
        ({"prompt": 5, "model": "veo3_fast"}, "prompt must be a string"),
        ({"prompt": "x", "model": "veo9"}, "Invalid model"),
        ({"prompt": "x", "aspect_ratio": "1:1"}, "Invalid aspectRatio: 1:1"),
        ({"prompt": "x", "resolution": "8k"}, "Invalid resolution: 8k"),
        ({"prompt": "x", "duration": 5}, "Invalid duration. Supported values: 4, 6, 8."),
        ({"prompt": "x", "seeds": 1}, "seeds must be an integer between 10000 and 99999"),
        ({"prompt": "x", "seeds": True}, "seeds must be an integer between 10000 and 99999"),
        ({"prompt": "x", "enableTranslation": "yes"}, "enableTranslation must be a boolean"),
        (
            {"prompt": "x", "imageUrls": "http://a/b.png"},
            "imageUrls must be a list of valid image URLs",
        ),
        (
            {"prompt": "x", "imageUrls": ["ftp://a/b.png"]},
            "imageUrls must be a list of valid image URLs",
        ),
        (
            {"prompt": "x", "imageUrls": ["http://a/b.png"] * 3},
            "imageUrls supports 1 or 2 images",
        ),
        ({"prompt": "x", "generationType": "MAGIC"}, "Invalid generationType: MAGIC"),
        (
            {"prompt": "x", "generationType": "FIRST_AND_LAST_FRAMES_2_VIDEO"},
            "FIRST_AND_LAST_FRAMES_2_VIDEO requires 1 or 2 images in imageUrls",
        ),
        (
            {"prompt": "x", "generationType": "REFERENCE_2_VIDEO"},
            "REFERENCE_2_VIDEO requires 1 to 3 images in imageUrls",
        ),
        (
            {"prompt": "x", "generationType": "REFERENCE_2_VIDEO", "imageUrls": ["http://a"], "model": "veo3"},
            "REFERENCE_2_VIDEO does not support veo3",
        ),
        (
            {
                "prompt": "x",
                "model": "veo3_fast",
                "generationType": "REFERENCE_2_VIDEO",
                "imageUrls": ["http://a"],
                "duration": 4,
            },
            "Invalid duration. Veo 3.1 reference-to-video currently only supports 8-second generation.",
        ),
    ],
)
def test_invalid_request_gets_422_and_is_not_charged(body: dict[str, Any], message: str) -> None:
    """Each rule has its own message."""
    sim = bench()
    assert refusal(sim, **{"model": "veo3_fast", **body}) == (422, message)
    assert sim.credits == 1_000_000
    assert not sim.provider.charges


@pytest.mark.parametrize("body", [{"prompt": "x"}, {"prompt": "x", "model": None}, {"prompt": "x", "model": "veo9"}])
def test_missing_or_unknown_model_is_rejected_like_the_real_api(body: dict[str, Any]) -> None:
    """The API has no default model: both get the same short message."""
    assert refusal(bench(), **body) == (422, "Invalid model")


@pytest.mark.parametrize(
    ("dialect", "model"),
    [("quickstart-1", "veo3"), ("quickstart-2", "veo3"), ("openapi", "veo3"), ("apikley", "veo3_fast")],
)
def test_documented_dialects_have_the_default_model_of_their_pages(dialect: str, model: str) -> None:
    """Their sample requests omit the model."""
    sim = bench(dialect=dialect)
    task_id = sim.request_json("generate", {"prompt": "x"})["data"]["taskId"]
    assert sim.provider.tasks[task_id].request.model == model


def test_body_that_is_not_an_object_gets_422() -> None:
    """Lists and invalid JSON are rejected."""
    sim = bench()
    for body in (b"[]", b"not json", b""):
        response = sim.send("POST", "/api/v1/veo/generate", body=body)
        assert response.json()["code"] == 422


def test_unknown_fields_are_ignored_or_rejected() -> None:
    """Users reported both; a setting selects one."""
    assert bench().request_json("generate", {"prompt": "x", "model": "veo3_fast", "voice": "deep"})["code"] == 200
    strict = bench(unknown_fields="reject")
    assert refusal(strict, prompt="x", voice="deep") == (422, "Unknown parameters: voice")


@pytest.mark.parametrize(
    ("model", "resolution", "credits"),
    [
        ("veo3_lite", "720p", 30),
        ("veo3_lite", "1080p", 35),
        ("veo3_lite", "4k", 150),
        ("veo3_fast", "720p", 60),
        ("veo3_fast", "1080p", 65),
        ("veo3_fast", "4k", 180),
        ("veo3", "720p", 250),
        ("veo3", "1080p", 255),
        ("veo3", "4k", 380),
    ],
)
def test_generation_is_charged_by_model_and_resolution(model: str, resolution: str, credits: float) -> None:
    """The price is deducted when the task is accepted."""
    sim = bench()
    task_id = sim.generate(model=model, resolution=resolution)
    assert sim.request_json("credit")["data"] == 1_000_000 - credits
    assert sim.provider.tasks[task_id].credits == credits


def test_charge_records_the_request() -> None:
    """It has the task, the endpoint, the credits, the body as sent, the callback address and the time."""
    sim = bench()
    body = {"prompt": "a dog", "model": "veo3_fast", "callBackUrl": "http://127.0.0.1:1/a"}
    task_id = sim.request_json("generate", body)["data"]["taskId"]
    (charge,) = sim.provider.charges
    assert (charge.task_id, charge.endpoint, charge.credits, charge.account) == (task_id, "generate", 60, "main")
    assert (charge.body, charge.callback_url, charge.at) == (body, "http://127.0.0.1:1/a", sim.now)


def test_same_request_twice_is_a_double_charge() -> None:
    """Different callback addresses do not make the requests different."""
    sim = bench()
    ids = {sim.generate(callBackUrl=f"http://127.0.0.1:1/{attempt}") for attempt in "ab"}
    sim.generate("another dog")
    (group,) = sim.provider.double_charges()
    assert {charge.task_id for charge in group} == ids


def test_double_charges_accepts_another_key_function() -> None:
    """A test that submits equal requests on purpose can compare callback addresses."""
    sim = bench()
    for attempt in "ab":
        sim.generate(callBackUrl=f"http://127.0.0.1:1/{attempt}")
    assert not sim.provider.double_charges(key_of=lambda charge: charge.callback_url)


def test_failed_task_is_refunded() -> None:
    """Generating the clip again is not a double charge."""
    sim = bench()
    sim.generate("a dog [fail]")
    assert sim.credits == 1_000_000 - 60
    sim.advance(60)
    assert sim.request_json("credit")["data"] == 1_000_000
    assert sim.provider.charges[0].refunded_at == sim.now
    sim.generate("a dog [fail]")
    assert not sim.provider.double_charges()


def test_insufficient_balance_gets_402() -> None:
    """The message is the provider's, and no task is created."""
    sim = bench(credits=59.0)
    assert refusal(sim, prompt="x", model="veo3_fast") == (402, "The current credits are insufficient. Please top up.")
    assert not sim.provider.tasks


def test_daily_cap_of_a_key_gets_433_until_the_next_day() -> None:
    """The cap counts what the key has spent today, regardless of the balance."""
    sim = bench(key_daily_cap=100.0)
    sim.generate()
    capped = refusal(sim, prompt="x", model="veo3_fast")
    assert capped == (433, "The current number of points used by apiKey has exceeded the daily limit")
    sim.advance(86400)
    sim.generate()


def test_maintenance_gets_455() -> None:
    """Every endpoint returns 455 during the window, and none before or after."""
    sim = bench(maintenance=[(10.0, 20.0)])
    task_id = sim.generate()
    sim.advance(10)
    assert {
        sim.request_json("generate", REQUEST)["code"],
        sim.record(task_id)["code"],
    } == {455}
    sim.advance(10)
    assert sim.record(task_id)["code"] == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("generate", {"model": "veo3"}),
        ("veo3_lite", {"model": "veo3_lite"}),
        ("4k", {"model": "veo3_fast", "resolution": "4k"}),
        ("REFERENCE_2_VIDEO", {"model": "veo3_fast", "generationType": "REFERENCE_2_VIDEO", "imageUrls": ["http://a"]}),
    ],
)
def test_disabled_feature_gets_505(name: str, body: dict[str, Any]) -> None:
    """Endpoints, models, resolutions and generation types can be disabled by name."""
    assert refusal(bench(disabled=[name]), prompt="x", **body)[0] == 505


def test_errors_use_http_status_with_setting() -> None:
    """``error_style="http"`` uses the code as the HTTP status, too."""
    response = bench(error_style="http").request("generate", {})
    assert (response.status, response.json()["code"]) == (422, 422)


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/veo/generate"), ("GET", "/api/v1/nowhere")])
def test_wrong_method_or_path_gets_404(method: str, path: str) -> None:
    """Both are reported with an HTTP status."""
    response = bench().send(method, path)
    assert (response.status, response.json()["code"]) == (404, 404)


# --- words in the prompt ----------------------------------------------------------------------------------------


def test_refuse_in_prompt_gets_422() -> None:
    """[refuse]: the documented 422; no task is created and nothing is charged."""
    sim = bench()
    code, message = refusal(sim, prompt="a [refuse] dog", model="veo3_fast")
    assert code == 422
    assert message.startswith("Your request was rejected by Flow(Your prompt was flagged by Website")
    assert message.endswith("Please refer to the documentation.")
    assert not sim.provider.tasks


@pytest.mark.parametrize(
    ("word", "flag", "codes", "beginning"),
    [
        ("[refuse-late]", 3, {400}, "Your prompt was flagged by Website"),
        ("[fail]", 3, {500, 501}, ""),
        ("[flag-2]", 2, {500}, "Internal Error"),
        ("[audio-failure]", 3, {400}, "The Google model was unable to generate audio"),
    ],
)
def test_words_in_prompt_decide_the_failure(word: str, flag: int, codes: set[int], beginning: str) -> None:
    """As in reality, the envelope reports success and the record reports the failure."""
    sim = bench()
    task_id = sim.generate(word)
    sim.advance(60)
    response = sim.record(task_id)
    data = response["data"]
    assert (response["code"], response["msg"]) == (200, "success")
    assert (data["successFlag"], data["response"]) == (flag, None)
    assert data["errorCode"] in codes
    assert data["errorMessage"].startswith(beginning)


def test_image_unreachable_in_prompt_makes_the_record_an_error() -> None:
    """[image-unreachable]: code 500 with ``data.errorMessage``, once the task has failed."""
    sim = bench()
    task_id = sim.generate("[image-unreachable]")
    assert sim.record(task_id)["data"]["successFlag"] == 0
    sim.advance(60)
    assert sim.record(task_id) == {
        "code": 500,
        "msg": "Task generation failed",
        "data": {"errorMessage": "Image fetch failed. Check access settings or use our File Upload API instead."},
    }


def test_empty_in_prompt_delays_the_urls() -> None:
    """[empty]: the task succeeds without URLs; a later record has them."""
    sim = bench(empty_result_s=30.0)
    task_id = sim.generate("[empty]")
    sim.advance(60)
    assert sim.record(task_id)["data"]["response"]["resultUrls"] == []
    sim.advance(30)
    assert len(sim.record(task_id)["data"]["response"]["resultUrls"]) == 1


def test_slow_stuck_and_no_audio_in_prompt() -> None:
    """[slow] takes ten times as long, [stuck] never finishes, [no-audio] has no sound."""
    sim = bench()
    slow, stuck, silent = sim.generate("[slow]"), sim.generate("[stuck]"), sim.generate("[no-audio]")
    sim.advance(599)
    assert sim.record(slow)["data"]["successFlag"] == 0
    sim.advance(1)
    assert sim.record(slow)["data"]["successFlag"] == 1
    assert sim.record(silent)["data"]["response"]["hasAudioList"] == [False]
    sim.advance(13 * 86400)
    assert sim.record(stuck)["data"]["successFlag"] == 0


def test_rates_are_seeded() -> None:
    """The same seed gives the same refusals and failures, in roughly the configured fractions."""

    def run(seed: int) -> list[object]:
        sim = bench(seed=seed, refusal_rate=0.3, failure_rate=0.2)
        responses = [
            sim.request_json("generate", {"prompt": f"clip {number}", "model": "veo3_fast"}) for number in range(200)
        ]
        sim.advance(60)
        ids = [response["data"]["taskId"] if response["data"] else None for response in responses]
        flags = [sim.record(task_id)["data"]["successFlag"] if task_id else None for task_id in ids]
        return [response["code"] if flag is None else flag for response, flag in zip(responses, flags, strict=True)]

    first, second, third = run(1), run(1), run(2)
    assert first == second != third
    assert 15 <= first.count(422) <= 45
    assert 40 <= first.count(3) <= 90


def test_durations_are_log_normal_per_model() -> None:
    """The middle 80 % are within the documented range of each model."""
    sim = bench(duration_s=None)
    for model in ("veo3", "veo3_fast"):
        for _ in range(400):
            sim.generate(model=model)
    spans = {"veo3": [], "veo3_fast": []}
    for task in sim.provider.tasks.values():
        spans[task.request.model].append(task.completes_at - task.created_at)
    deciles = {model: (sorted(found)[40], sorted(found)[360]) for model, found in spans.items()}
    assert 100 < deciles["veo3"][0] < 140
    assert 260 < deciles["veo3"][1] < 350
    assert 45 < deciles["veo3_fast"][0] < 62
    assert 100 < deciles["veo3_fast"][1] < 135


# --- several accounts -------------------------------------------------------------------------------------------


def test_keys_bill_their_accounts() -> None:
    """Two keys of one account share its balance and its limit; another account has its own."""
    sim = bench(api_keys={"second": "main", "other": "friends"}, limiter="sliding", rate=(2, 10.0))
    codes = [sim.request_json("generate", REQUEST, key=key)["code"] for key in (KEY, "second", KEY, "other")]
    assert codes == [200, 200, 429, 200]
    assert [sim.provider.account(name).credits for name in ("main", "friends")] == [999_880, 999_940]


def test_account_cannot_read_tasks_of_another() -> None:
    """A record belongs to the account that created the task."""
    sim = bench(api_keys={"other": "friends"})
    task_id = sim.generate()
    assert sim.request_json("record-info", key="other", taskId=task_id)["msg"] == "record is null."


def test_request_log_contains_no_key() -> None:
    """The log shows whether there was a key, but not which."""
    sim = bench()
    sim.generate()
    provider: FaultyProvider = sim.provider
    (seen,) = provider.log
    assert seen.has_key
    assert "authorization" not in seen.headers
    assert KEY not in json.dumps([dict(seen.headers), seen.body])
