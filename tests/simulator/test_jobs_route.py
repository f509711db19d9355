"""The jobs route: createTask and recordInfo on the same account and charge log as the dedicated Veo endpoints."""

import json
from typing import Any

import pytest

from veo_async.errors import UsageError
from veo_async.simulator import Simulator

from .support import Bench, bench, get_bytes, parts_of, post_bytes, raw_exchange


def create(sim: Bench, model: str = "veo-3-1", *, callback: str | None = None, **fields: Any) -> Any:
    body = {"model": model, "input": fields, **({"callBackUrl": callback} if callback else {})}
    return sim.send("POST", "/api/v1/jobs/createTask", body=json.dumps(body).encode()).json()


def made(sim: Bench, model: str = "veo-3-1", **fields: Any) -> str:
    response = create(sim, model, **({"prompt": "a dog"} if model == "veo-3-1" else {}), **fields)
    assert response["code"] == 200, response
    return str(response["data"]["taskId"])


def read(sim: Bench, task_id: str) -> Any:
    return sim.send("GET", "/api/v1/jobs/recordInfo", query={"taskId": task_id}).json()


def test_chain_on_jobs_has_four_records_and_four_charges() -> None:
    """Acceptance 18: every step is a task with its own record, charged once however often it is read."""
    sim = bench(poll_rate_per_task=None)
    clip = made(sim)
    sim.advance(60)
    longer = made(sim, "veo/extend", task_id=clip, prompt="it barks")
    sim.advance(60)
    hd = made(sim, "veo/get-1080p-video", taskId=longer)
    four_k = made(sim, "veo/get-4k-video", task_id=longer)
    sim.advance(60)
    models = [read(sim, task_id)["data"]["model"] for task_id in (clip, longer, hd, four_k)]
    assert models == ["veo-3-1", "veo/extend", "veo/get-1080p-video", "veo/get-4k-video"]
    assert all(read(sim, hd)["data"]["state"] == "success" for _ in range(50))
    assert [charge.credits for charge in sim.provider.charges] == [60, 60, 5, 120]
    assert sim.provider.double_charges() == ()


def test_record_while_waiting_shows_param_in_a_string_and_the_credits() -> None:
    """``input`` is a string within the string ``param``, and ``creditsConsumed`` is filled from the start."""
    sim = bench()
    record = read(sim, made(sim))["data"]
    assert (record["state"], record["successFlag"], record["creditsConsumed"]) == ("waiting", 0, 60)
    param = json.loads(record["param"])
    assert param["model"] == "veo-3-1"
    assert json.loads(param["input"]) == {"prompt": "a dog"}
    assert record["paramJson"] == record["param"]
    assert record["resultJson"] == ""
    assert "response" not in record


@pytest.mark.parametrize(("form", "expected"), [("flat", {"resultUrls"}), ("nested", {"data"})])
def test_result_of_a_1080p_video_has_the_form_of_the_setting(form: str, expected: set[str]) -> None:
    """Flat or nested, in ``response`` and in ``resultJson`` alike."""
    sim = bench(result_form=form)
    task_id = made(sim, resolution="1080p")
    sim.advance(60)
    record = read(sim, task_id)["data"]
    assert set(record["response"]) == expected
    assert json.loads(record["resultJson"]) == record["response"]


def test_record_of_april_lacks_the_newer_fields() -> None:
    """No success flag, no ``response``, no ``paramJson`` and no credits."""
    sim = bench(record_form="2026-04")
    task_id = made(sim)
    sim.advance(60)
    record = read(sim, task_id)["data"]
    assert record["state"] == "success"
    assert not {"successFlag", "response", "paramJson", "creditsConsumed"} & set(record)


@pytest.mark.parametrize(("shown", "credits"), [("kept", 60), ("zero", 0)])
def test_failed_record_names_its_reason_and_the_balance_is_refunded(shown: str, credits: float) -> None:
    """``failCode`` is text; the setting decides what ``creditsConsumed`` shows."""
    sim = bench(credits_on_failure=shown, credits=100)
    task_id = create(sim, prompt="a dog [refuse-late]")["data"]["taskId"]
    sim.advance(60)
    record = read(sim, task_id)["data"]
    assert (record["state"], record["successFlag"], record["failCode"]) == ("fail", 3, "400")
    assert record["failMsg"]
    assert record["creditsConsumed"] == credits
    assert sim.credits == 100


@pytest.mark.parametrize(("form", "code"), [("422", 422), ("404", 404), ("null", 200)])
def test_unknown_id_is_reported_in_the_form_of_the_setting(form: str, code: int) -> None:
    """Each is a code in the body, without data."""
    response = read(bench(unknown_id=form), "0" * 32)
    assert (response["code"], response["data"]) == (code, None)


@pytest.mark.parametrize("code", [422, 500])
@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("veo-3-1", {}, "prompt is required"),
        ("veo-3-1", {"prompt": "x", "aspect_ratio": "1:1"}, "This aspect_ratio is not within"),
        ("veo-3-1", {"prompt": "x", "imageUrls": []}, "This imageUrls is not within"),
        ("veo-3-1", {"prompt": "x", "seeds": 12345}, "This seeds is not within"),
        ("veo/extend", {"prompt": "x", "taskId": "a"}, "task_id is required"),
        ("veo/get-1080p-video", {"task_id": "a"}, "taskId is required"),
        ("veo/get-4k-video", {"taskId": "a"}, "task_id is required"),
    ],
)
def test_wrong_field_is_refused_with_the_code_of_the_setting(
    code: int, model: str, fields: dict[str, Any], message: str
) -> None:
    """Nothing is created and nothing is charged."""
    sim = bench(validation_code=code)
    response = create(sim, model, **fields)
    assert response["code"] == code
    assert response["msg"].startswith(message)
    assert sim.provider.charges == ()


def test_gone_old_route_responds_404_and_the_jobs_route_works() -> None:
    """The balance is still readable."""
    sim = bench(old_route="gone")
    for endpoint in ("generate", "extend", "record-info", "get-1080p-video", "get-4k-video"):
        assert sim.request(endpoint, {"prompt": "x"}).status == 404
    assert sim.request_json("credit")["code"] == 200
    assert read(sim, made(sim))["code"] == 200


def test_read_only_old_route_creates_nothing_and_shows_records() -> None:
    """So that running tasks can be collected."""
    sim = bench(old_route="read-only", old_route_after=1)
    task_id = sim.generate()
    for endpoint in ("generate", "extend", "get-1080p-video", "get-4k-video"):
        assert sim.request(endpoint, {"prompt": "x"}).status == 404
    assert sim.record(task_id)["code"] == 200
    assert read(sim, made(sim))["code"] == 200


def test_old_route_closes_after_the_given_number_of_tasks() -> None:
    """Tasks of createTask do not count; what a test changes later stays."""
    sim = bench(old_route="gone", old_route_after=2)
    made(sim)
    sim.generate()
    assert sim.request("generate", {"prompt": "x", "model": "veo3_fast"}).status == 200
    assert sim.request("record-info", {"taskId": "x"}).status == 404
    sim.provider.veo_route = "on"
    assert sim.request("generate", {"prompt": "x", "model": "veo3_fast"}).status == 200


@pytest.mark.parametrize(("reading", "code"), [("none", 422), ("both", 200)])
def test_task_of_the_other_route_is_known_only_with_cross_reading(reading: str, code: int) -> None:
    """In both directions."""
    sim = bench(cross_reading=reading)
    assert read(sim, sim.generate())["code"] == code
    assert sim.record(made(sim))["code"] == code


def test_ignored_tier_is_billed_and_reported_as_fast() -> None:
    """A Lite clip costs 60 credits instead of 30."""
    sim = bench(tier_ignored=True)
    body = {"model": "veo-3-1", "input": {"prompt": "x", "model": "veo3_lite"}}
    task_id = sim.send("POST", "/api/v1/jobs/createTask", body=json.dumps(body).encode()).json()["data"]["taskId"]
    assert read(sim, task_id)["data"]["creditsConsumed"] == 60


def test_same_request_on_both_routes_is_a_double_charge() -> None:
    """Acceptance 18: there is one charge log."""
    sim = bench()
    sim.generate("a dog")
    body = {"model": "veo-3-1", "input": {"prompt": "a dog", "model": "veo3_fast"}}
    sim.send("POST", "/api/v1/jobs/createTask", body=json.dumps(body).encode())
    assert len(sim.provider.double_charges()) == 1


def test_rate_window_is_shared_and_429_is_in_the_body() -> None:
    """Acceptance 18: even if the setting sends other 429s as HTTP status."""
    sim = bench(limiter="sliding", rate=(2, 10.0), rate_limit_style="http")
    sim.generate()
    made(sim)
    body = json.dumps({"model": "veo-3-1", "input": {"prompt": "x"}}).encode()
    response = sim.send("POST", "/api/v1/jobs/createTask", body=body)
    assert (response.status, response.json()["code"]) == (200, 429)


CREDITS = {"creditsConsumed", "consumeCredits", "remainedCredits"}


def called_back(prompt: str, **settings: Any) -> Any:
    """Return the callback of a clip with *prompt*."""
    sim = bench(credits=100, **settings)
    create(sim, prompt=prompt, callback="https://me.example/cb")
    sim.advance(60)
    (callback,) = sim.provider.due_callbacks(sim.now)
    return json.loads(callback.body)


@pytest.mark.parametrize(
    ("form", "names", "credits"),
    [
        ("unified", {"state", "param", "resultJson"}, {"creditsConsumed": 60}),
        ("info", {"info"}, {}),
        ("2025", {"state", "param", "resultJson"}, {"consumeCredits": 60, "remainedCredits": 40}),
    ],
)
def test_callback_has_the_form_of_the_setting(form: str, names: set[str], credits: dict[str, float]) -> None:
    """Unified: the body of a record; info: that of the dedicated endpoints; 2025: other names of the credits."""
    callback = called_back("x", jobs_callback_form=form)
    assert callback["code"] == 200
    assert callback["data"].keys() & {"info", "state", "param", "resultJson"} == names
    assert {name: value for name, value in callback["data"].items() if name in CREDITS} == credits


@pytest.mark.parametrize("form", ["unified", "2025"])
def test_callback_of_a_failed_task_has_code_501_and_the_reason(form: str) -> None:
    """The code and the message of the envelope are the same for every failure."""
    callback = called_back("a dog [refuse-late]", jobs_callback_form=form)
    data = callback["data"]
    assert (callback["code"], callback["msg"]) == (501, "Playground task failed.")
    assert (data["state"], data["failCode"]) == ("fail", "400")
    assert "flagged" in data["failMsg"]
    assert not data.get("resultJson")


def test_callback_of_2025_about_a_failed_task_consumed_nothing() -> None:
    """The balance in it includes the refund."""
    data = called_back("a dog [refuse-late]", jobs_callback_form="2025")["data"]
    assert (data["consumeCredits"], data["remainedCredits"]) == (0, 100)


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        ("waiting-generating", ["waiting", "generating", "generating", "success"]),
        ("waiting-queuing-generating", ["waiting", "queuing", "generating", "success"]),
        ("waiting", ["waiting", "waiting", "waiting", "success"]),
    ],
)
def test_running_task_shows_the_states_of_the_setting(setting: str, seen: list[str]) -> None:
    """At the start, in the second tenth of its time, after it, and at its end."""
    sim = bench(job_states=setting, duration_s=50.0)
    task_id = made(sim)
    found = [read(sim, task_id)["data"]["state"]]
    for seconds in (7, 30, 20):
        sim.advance(seconds)
        found.append(read(sim, task_id)["data"]["state"])
    assert found == seen


def test_task_that_never_ends_keeps_its_first_state() -> None:
    """A tenth of forever has not passed."""
    sim = bench(job_states="waiting-queuing-generating")
    task_id = create(sim, prompt="a dog [stuck]")["data"]["taskId"]
    sim.advance(1e6)
    assert read(sim, task_id)["data"]["state"] == "waiting"


@pytest.mark.parametrize("setting", ["job_states", "jobs_callback_form"])
def test_unknown_form_is_rejected_with_the_allowed_ones(setting: str) -> None:
    """Before the simulator starts."""
    with pytest.raises(UsageError, match=f"{setting}='x': is not a valid value; use one of '"):
        Simulator(**{setting: "x"})


@pytest.mark.parametrize(
    ("fault", "endpoint"),
    [("refuse:generate:1:code=500", "generate"), ("refuse:create-task:1:code=500", "create-task")],
)
def test_fault_of_generations_is_triggered_by_create_task(fault: str, endpoint: str) -> None:
    """The dedicated name means this kind of request on both routes."""
    sim = bench(faults=[fault])
    assert create(sim, prompt="x")["code"] == 500
    assert create(sim, prompt="x")["code"] == 200
    assert sim.provider.counts[endpoint] == 2


async def test_old_route_closes_while_the_server_runs() -> None:
    """Over a socket: 404 on the dedicated endpoint, and createTask still works."""
    async with Simulator(duration_s=1.0) as sim:
        sim.close_old_route()
        received, _ = await raw_exchange(sim.url, get_bytes("/api/v1/veo/record-info?taskId=a", sim.api_key))
        assert parts_of(received)[0] == 404
        body = {"model": "veo-3-1", "input": {"prompt": "x"}}
        received, _ = await raw_exchange(sim.url, post_bytes("/api/v1/jobs/createTask", sim.api_key, body))
        assert json.loads(parts_of(received)[2])["code"] == 200
