"""Creating calls: who may, what is refused, what is charged and given back."""

import json
from typing import Any

import pytest

from veo_async.simulator.faults.faulty_provider import FaultyProvider

from .support import KEY, Bench, bench


def refusal(at: Bench, **body: Any) -> tuple[int, str]:
    told = at.told("generate", body)
    return told["code"], told["msg"]


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_an_unknown_key_gets_401_in_the_body(key: str | None) -> None:
    """As observed: HTTP 200 with code 401 and no data."""
    answer = bench().ask("generate", {"prompt": "a dog"}, key=key)
    assert (answer.status, answer.json()["code"], answer.json()["data"]) == (200, 401, None)


def test_an_unknown_key_can_get_http_401() -> None:
    """The other form, by a setting."""
    assert bench(unknown_key_style="http").ask("credit", key="wrong").status == 401


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "prompt cannot be empty"),
        ({"prompt": "  "}, "prompt cannot be empty"),
        ({"prompt": 5}, "prompt must be a string"),
        ({"prompt": "x", "model": "veo9"}, "Invalid model: veo9"),
        ({"prompt": "x", "aspect_ratio": "1:1"}, "Invalid aspectRatio: 1:1"),
        ({"prompt": "x", "resolution": "8k"}, "Invalid resolution: 8k"),
        ({"prompt": "x", "duration": 5}, "Invalid duration. Supported values: 4, 6, 8."),
        ({"prompt": "x", "seeds": 1}, "seeds must be an integer between 10000 and 99999"),
        ({"prompt": "x", "seeds": True}, "seeds must be an integer between 10000 and 99999"),
        ({"prompt": "x", "enableTranslation": "yes"}, "enableTranslation must be a boolean"),
        ({"prompt": "x", "imageUrls": "http://a/b.png"}, "imageUrls must be a list of valid image URLs"),
        ({"prompt": "x", "imageUrls": ["ftp://a/b.png"]}, "imageUrls must be a list of valid image URLs"),
        ({"prompt": "x", "imageUrls": ["http://a/b.png"] * 3}, "imageUrls supports 1 or 2 images"),
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
            {"prompt": "x", "generationType": "REFERENCE_2_VIDEO", "imageUrls": ["http://a"], "duration": 4},
            "Invalid duration. Veo 3.1 reference-to-video currently only supports 8-second generation.",
        ),
    ],
)
def test_a_bad_request_gets_422(body: dict[str, Any], told: str) -> None:
    """Each rule has its sentence, and a refused request costs nothing."""
    at = bench()
    assert refusal(at, **body) == (422, told)
    assert at.credits == 1_000_000
    assert not at.provider.charges


def test_a_body_that_is_no_object_gets_422() -> None:
    """Neither a list nor no JSON at all is a request."""
    at = bench()
    for body in (b"[]", b"not json", b""):
        answer = at.raw("POST", "/api/v1/veo/generate", body=body)
        assert answer.json()["code"] == 422


def test_unknown_fields_are_ignored_or_refused() -> None:
    """Most report that they are ignored, one that they are refused: both can be had."""
    assert bench().told("generate", {"prompt": "x", "voice": "deep"})["code"] == 200
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
        ("veo3", "4k", 370),
    ],
)
def test_a_generation_costs_by_the_table(model: str, resolution: str, credits: float) -> None:
    """Model and resolution make the price, which leaves the balance when the task is accepted."""
    at = bench()
    task_id = at.generate(model=model, resolution=resolution)
    assert at.told("credit")["data"] == 1_000_000 - credits
    assert at.provider.tasks[task_id].credits == credits


def test_the_charge_tells_what_was_paid_for() -> None:
    """Task, endpoint, credits, the body as sent, the attempt's callback and the time stand in the book."""
    at = bench()
    body = {"prompt": "a dog", "callBackUrl": "http://127.0.0.1:1/a"}
    task_id = at.told("generate", body)["data"]["taskId"]
    (charge,) = at.provider.charges
    assert (charge.task_id, charge.endpoint, charge.credits, charge.account) == (task_id, "generate", 60, "main")
    assert (charge.body, charge.callback_url, charge.at) == (body, "http://127.0.0.1:1/a", at.now)


def test_the_same_request_twice_is_a_double_charge() -> None:
    """Two charges for one body are found, although their callback addresses differ."""
    at = bench()
    ids = {at.generate(callBackUrl=f"http://127.0.0.1:1/{attempt}") for attempt in "ab"}
    at.generate("another dog")
    (group,) = at.provider.double_charges()
    assert {charge.task_id for charge in group} == ids


def test_a_key_of_our_own_tells_equal_requests_apart() -> None:
    """Where two equal requests are meant, the callback's token can part them."""
    at = bench()
    for attempt in "ab":
        at.generate(callBackUrl=f"http://127.0.0.1:1/{attempt}")
    assert not at.provider.double_charges(key_of=lambda charge: charge.callback_url)


def test_a_failed_task_is_refunded() -> None:
    """The credits come back when it fails, and making it again is no double payment."""
    at = bench()
    at.generate("a dog [fail]")
    assert at.credits == 1_000_000 - 60
    at.pass_(60)
    assert at.told("credit")["data"] == 1_000_000
    assert at.provider.charges[0].refunded_at == at.now
    at.generate("a dog [fail]")
    assert not at.provider.double_charges()


def test_an_empty_account_gets_402() -> None:
    """The real sentence, and nothing is made."""
    at = bench(credits=59.0)
    assert refusal(at, prompt="x") == (402, "The current credits are insufficient. Please top up.")
    assert not at.provider.tasks


def test_a_keys_daily_cap_is_433_until_the_next_day() -> None:
    """The cap counts what the key has spent today, whatever the balance."""
    at = bench(key_daily_cap=100.0)
    at.generate()
    capped = refusal(at, prompt="x")
    assert capped == (433, "The current number of points used by apiKey has exceeded the daily limit")
    at.pass_(86400)
    at.generate()


def test_maintenance_is_455_while_it_lasts() -> None:
    """In the window every endpoint answers 455, before and after it none."""
    at = bench(maintenance=[(10.0, 20.0)])
    task_id = at.generate()
    at.pass_(10)
    assert {at.told("generate", {"prompt": "x"})["code"], at.record(task_id)["code"]} == {455}
    at.pass_(10)
    assert at.record(task_id)["code"] == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("generate", {}),
        ("veo3_lite", {"model": "veo3_lite"}),
        ("4k", {"resolution": "4k"}),
        ("REFERENCE_2_VIDEO", {"generationType": "REFERENCE_2_VIDEO", "imageUrls": ["http://a"]}),
    ],
)
def test_a_disabled_feature_is_505(name: str, body: dict[str, Any]) -> None:
    """Endpoints, models, resolutions and modes can be switched off by name."""
    assert refusal(bench(disabled=[name]), prompt="x", **body)[0] == 505


def test_errors_can_come_as_http_statuses() -> None:
    """``error_style="http"`` puts the code where HTTP has it, too."""
    answer = bench(error_style="http").ask("generate", {})
    assert (answer.status, answer.json()["code"]) == (422, 422)


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/veo/generate"), ("GET", "/api/v1/nowhere")])
def test_a_wrong_address_is_404(method: str, path: str) -> None:
    """What does not exist says so."""
    answer = bench().raw(method, path)
    assert (answer.status, answer.json()["code"]) == (404, 404)


# --- words in the prompt ----------------------------------------------------------------------------------------


def test_a_prompt_can_be_refused_at_once() -> None:
    """[refuse]: the 422 of the pages, nothing made, nothing charged."""
    at = bench()
    code, message = refusal(at, prompt="a [refuse] dog")
    assert code == 422
    assert message.startswith("Your request was rejected by Flow(Your prompt was flagged by Website")
    assert message.endswith("Please refer to the documentation.")
    assert not at.provider.tasks


@pytest.mark.parametrize(
    ("word", "flag", "codes", "beginning"),
    [
        ("[refuse-late]", 3, {400}, "Your prompt was flagged by Website"),
        ("[fail]", 3, {500, 501}, ""),
        ("[flag-2]", 2, {500}, "Internal Error"),
        ("[audio-failure]", 3, {400}, "The Google model was unable to generate audio"),
    ],
)
def test_a_prompt_can_decide_how_its_task_fails(word: str, flag: int, codes: set[int], beginning: str) -> None:
    """The envelope says success and the record tells of the failure, as in reality."""
    at = bench()
    task_id = at.generate(word)
    at.pass_(60)
    told = at.record(task_id)
    data = told["data"]
    assert (told["code"], told["msg"]) == (200, "success")
    assert (data["successFlag"], data["response"]) == (flag, None)
    assert data["errorCode"] in codes
    assert data["errorMessage"].startswith(beginning)


def test_an_unreachable_image_makes_the_record_an_error() -> None:
    """[image-unreachable]: code 500 with ``data.errorMessage``, once it has failed."""
    at = bench()
    task_id = at.generate("[image-unreachable]")
    assert at.record(task_id)["data"]["successFlag"] == 0
    at.pass_(60)
    assert at.record(task_id) == {
        "code": 500,
        "msg": "Task generation failed",
        "data": {"errorMessage": "Image fetch failed. Check access settings or use our File Upload API instead."},
    }


def test_urls_can_come_later_than_success() -> None:
    """[empty]: success without URLs, which a later read has."""
    at = bench(empty_result_s=30.0)
    task_id = at.generate("[empty]")
    at.pass_(60)
    assert at.record(task_id)["data"]["response"]["resultUrls"] == []
    at.pass_(30)
    assert len(at.record(task_id)["data"]["response"]["resultUrls"]) == 1


def test_a_task_can_be_slow_stuck_or_silent() -> None:
    """[slow] takes ten times as long, [stuck] for ever, [no-audio] has no sound."""
    at = bench()
    slow, stuck, silent = at.generate("[slow]"), at.generate("[stuck]"), at.generate("[no-audio]")
    at.pass_(599)
    assert at.record(slow)["data"]["successFlag"] == 0
    at.pass_(1)
    assert at.record(slow)["data"]["successFlag"] == 1
    assert at.record(silent)["data"]["response"]["hasAudioList"] == [False]
    at.pass_(13 * 86400)
    assert at.record(stuck)["data"]["successFlag"] == 0


def test_rates_are_seeded() -> None:
    """The same seed gives the same refusals and failures, about as many as were ordered."""

    def run(seed: int) -> list[object]:
        at = bench(seed=seed, refusal_rate=0.3, failure_rate=0.2)
        told = [at.told("generate", {"prompt": f"clip {number}"}) for number in range(200)]
        at.pass_(60)
        return [at.record(t["data"]["taskId"])["data"]["successFlag"] if t["data"] else t["code"] for t in told]

    first, second, third = run(1), run(1), run(2)
    assert first == second != third
    assert 15 <= first.count(422) <= 45
    assert 40 <= first.count(3) <= 90


def test_durations_are_log_normal_per_model() -> None:
    """Medians near the known ones: fast below veo3, the middle 80 % within what the pages say."""
    at = bench(duration_s=None)
    for model in ("veo3", "veo3_fast"):
        for _ in range(400):
            at.generate(model=model)
    spans = {"veo3": [], "veo3_fast": []}
    for task in at.provider.tasks.values():
        spans[task.request.model].append(task.completes_at - task.created_at)
    deciles = {model: (sorted(found)[40], sorted(found)[360]) for model, found in spans.items()}
    assert 100 < deciles["veo3"][0] < 140
    assert 260 < deciles["veo3"][1] < 350
    assert 45 < deciles["veo3_fast"][0] < 62
    assert 100 < deciles["veo3_fast"][1] < 135


# --- several accounts -------------------------------------------------------------------------------------------


def test_keys_bill_their_accounts() -> None:
    """Two keys of one account share its balance and its limit; another account has its own of both."""
    at = bench(api_keys={"second": "main", "other": "friends"}, limiter="sliding", rate=(2, 10.0))
    codes = [at.told("generate", {"prompt": "x"}, key=key)["code"] for key in (KEY, "second", KEY, "other")]
    assert codes == [200, 200, 429, 200]
    assert [at.provider.account(name).credits for name in ("main", "friends")] == [999_880, 999_940]


def test_an_account_does_not_see_anothers_tasks() -> None:
    """A record belongs to the account that made the task."""
    at = bench(api_keys={"other": "friends"})
    task_id = at.generate()
    assert at.told("record-info", key="other", taskId=task_id)["msg"] == "record is null."


def test_the_log_holds_no_key() -> None:
    """What the log keeps of a request shows that there was a key, and not which."""
    at = bench()
    at.generate()
    provider: FaultyProvider = at.provider
    (seen,) = provider.log
    assert seen.has_key
    assert "authorization" not in seen.headers
    assert KEY not in json.dumps([dict(seen.headers), seen.body])
