"""The simulator against the provider's documentation: it accepts the requests shown and sends the responses shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from .support import START, URL, bench

_EXAMPLES = Path(__file__).with_name("documented")
_DIALECTS = ("real", "quickstart-1", "quickstart-2", "openapi")


def example(name: str) -> Any:
    return json.loads((_EXAMPLES / name).read_text())


def kinds(value: Any) -> Any:
    """Return *value* with each leaf replaced by the name of its type."""
    if isinstance(value, dict):
        return {name: kinds(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [kinds(inner) for inner in value]
    return type(value).__name__


@pytest.mark.parametrize("name", sorted(path.name for path in _EXAMPLES.glob("*-generate-request.json")))
@pytest.mark.parametrize("dialect", _DIALECTS)
def test_documented_generate_examples_are_accepted(name: str, dialect: str) -> None:
    """Each example creates a task, in each of kie's dialects."""
    assert bench(dialect=dialect).request_json("generate", example(name))["code"] == 200


def test_apikley_generate_example_is_accepted() -> None:
    """Its aspect ratio is understood."""
    sim = bench(dialect="apikley")
    task_id = sim.request_json("generate", example("004-generate-request.json"))["data"]["taskId"]
    assert sim.provider.tasks[task_id].request.aspect_ratio == "16:9"


@pytest.mark.parametrize(
    "name", ["002-quickstart-text.json", "003-quickstart-image.json", "003-complete-workflow.json"]
)
def test_quickstart_requests_are_accepted(name: str) -> None:
    """The requests of the sample programs create tasks for the model and aspect ratio that they name."""
    sim = bench(dialect="quickstart-1")
    task_id = sim.request_json("generate", example(name))["data"]["taskId"]
    request = sim.provider.tasks[task_id].request
    assert (request.model, request.aspect_ratio) == ("veo3", "16:9")


@pytest.mark.parametrize("dialect", [*_DIALECTS, "apikley"])
def test_generate_response_is_the_documented_one(dialect: str) -> None:
    """It is equal to the documented example, byte for byte, given the same task id."""
    sim = bench(dialect=dialect, task_ids=["veo_task_abcdef123456"])
    response = sim.request("generate", {"prompt": "a dog", "model": "veo3_fast"})
    assert response.json() == example("generate-response.json")
    assert response.body == b'{"code":200,"msg":"success","data":{"taskId":"veo_task_abcdef123456"}}'


def test_openapi_record_is_the_documented_one() -> None:
    """All values are equal to the example's except the URLs of the files."""
    shown = example("002-record-info-response.json")
    sim = bench(dialect="openapi", task_ids=["veo_task_abcdef123456"], duration_s=300.0)
    sim.now = 1_749_205_500.0  # 2025-06-06 10:25:00 UTC
    request = {"prompt": "A futuristic city with flying cars at sunset.", "watermark": "KieAI"}
    task_id = sim.request_json("generate", request)["data"]["taskId"]
    sim.advance(300)
    record = sim.record(task_id)
    record["data"]["response"]["resultUrls"] = shown["data"]["response"]["resultUrls"]
    assert record["data"]["response"].pop("originUrls") is None  # nothing is cropped at 16:9
    shown["data"]["response"].pop("originUrls")
    assert record == shown


def test_openapi_record_has_documented_fields_and_types() -> None:
    """A portrait clip, which has uncropped originals, has exactly the fields of the example."""
    sim = bench(dialect="openapi")
    task_id = sim.generate(aspectRatio="9:16")
    sim.advance(60)
    assert kinds(sim.record(task_id)) == kinds(example("002-record-info-response.json"))


def test_apikley_callback_is_the_documented_one() -> None:
    """It has exactly the documented fields and values; its URL lists contain no quotes."""
    shown = example("004-callback.json")
    sim = bench(dialect="apikley", task_ids=["veo_task_abcdef123456"])
    sim.generate(aspectRatio="9:16", callBackUrl="http://127.0.0.1:1/done")
    sim.advance(60)
    record = json.loads(sim.provider.due_callbacks(sim.now)[0].body)
    info = record["data"]["info"]
    assert info["resultUrls"] == f"[{URL}/files/v/veo_task_abcdef123456_{START + 60:.0f}.mp4]"
    assert info["originUrls"] == f"[{URL}/files/v/veo_task_abcdef123456_{START + 60:.0f}_origin.mp4]"
    info["resultUrls"], info["originUrls"] = (shown["data"]["info"][name] for name in ("resultUrls", "originUrls"))
    info["resolution"] = "1080p"  # the example's resolution; this task has another one
    assert record == shown


@pytest.mark.parametrize(("dialect", "flag_name"), [("quickstart-1", "status"), ("quickstart-2", "successFlag")])
def test_quickstart_record_has_the_fields_its_program_reads(dialect: str, flag_name: str) -> None:
    """``data`` has the program's flag and, as JSON in a string, the URLs."""
    sim = bench(dialect=dialect)
    task_id = sim.generate()
    assert sim.record(task_id)["data"][flag_name] == 0
    sim.advance(60)
    data = sim.record(task_id)["data"]
    assert data[flag_name] == 1
    assert json.loads(data["resultUrls"]) == [f"{URL}/files/v/{task_id}_{START + 60:.0f}.mp4"]
    assert {"status", "successFlag"} & set(data) == {flag_name}


def test_quickstart_callback_has_urls_as_json_in_a_string() -> None:
    """The sample receivers parse ``data.info.resultUrls``."""
    sim = bench(dialect="quickstart-1")
    sim.generate(callBackUrl="http://127.0.0.1:1/done")
    sim.advance(60)
    record = json.loads(sim.provider.due_callbacks(sim.now)[0].body)
    assert json.loads(record["data"]["info"]["resultUrls"])[0].startswith(URL)


def test_apikley_ignores_snake_case() -> None:
    """``aspect_ratio`` is an unknown field and has no effect."""
    sim = bench(dialect="apikley")
    ignored, heeded = sim.generate(aspect_ratio="9:16"), sim.generate(aspectRatio="9:16")
    ratios = [sim.provider.tasks[task_id].request.aspect_ratio for task_id in (ignored, heeded)]
    assert ratios == ["16:9", "9:16"]


@pytest.mark.parametrize("endpoint", ["extend", "get-1080p-video", "get-4k-video", "download-url"])
def test_apikley_lacks_most_endpoints(endpoint: str) -> None:
    """Endpoints that it does not document return 404."""
    assert bench(dialect="apikley").request(endpoint, {"taskId": "x"}).status == 404


def test_real_record_while_running() -> None:
    """The id has 32 hex digits, times are epoch milliseconds, response and completion time are null."""
    sim = bench()
    task_id = sim.generate("a dog", watermark="MyBrand", callBackUrl="http://127.0.0.1:1/done")
    data = sim.record(task_id)["data"]
    params = json.loads(data.pop("paramJson"))
    assert len(task_id) == 32
    assert int(task_id, 16)
    assert data == {
        "taskId": task_id,
        "completeTime": None,
        "response": None,
        "successFlag": 0,
        "createTime": 1_750_000_000_000,
        "errorCode": None,
        "errorMessage": None,
        "fallbackFlag": False,
    }
    assert params == {
        "prompt": "a dog",
        "waterMark": "MyBrand",
        "callBackUrl": "http://127.0.0.1:1/done",
        "aspectRatio": "16:9",
        "enableFallback": False,
        "enableTranslation": True,
        "model": "veo3_fast",
    }


def test_real_record_after_success() -> None:
    """The response has one audio flag and one seed per video, and ``fullResultUrls: null``."""
    sim = bench()
    task_id = sim.generate(seeds=61668)
    sim.advance(61)
    data = sim.record(task_id)["data"]
    data.pop("paramJson")
    assert data == {
        "taskId": task_id,
        "completeTime": 1_750_000_060_000,
        "response": {
            "taskId": task_id,
            "resolution": "720p",
            "originUrls": None,
            "resultUrls": [f"{URL}/files/v/{task_id}_1750000060.mp4"],
            "fullResultUrls": None,
            "hasAudioList": [True],
            "seeds": [61668],
        },
        "successFlag": 1,
        "createTime": 1_750_000_000_000,
        "errorCode": None,
        "errorMessage": None,
        "fallbackFlag": False,
    }
