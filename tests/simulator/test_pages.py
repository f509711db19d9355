"""The simulator against the provider's pages: what they show is accepted, and is what is answered."""

import json
from pathlib import Path
from typing import Any

import pytest

from .support import START, URL, bench

_PAGES = Path(__file__).with_name("pages")
_DIALECTS = ("real", "quickstart-1", "quickstart-2", "openapi")


def page(name: str) -> Any:
    return json.loads((_PAGES / name).read_text())


def kinds(value: Any) -> Any:
    """*value* with every leaf replaced by the name of its type: what a page says about a shape."""
    if isinstance(value, dict):
        return {name: kinds(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [kinds(inner) for inner in value]
    return type(value).__name__


@pytest.mark.parametrize("name", sorted(path.name for path in _PAGES.glob("*-generate-request.json")))
@pytest.mark.parametrize("dialect", _DIALECTS)
def test_the_pages_example_requests_are_accepted(name: str, dialect: str) -> None:
    """Each generate example of the four kie pages makes a task, in each of kie's dialects."""
    assert bench(dialect=dialect).told("generate", page(name))["code"] == 200


def test_the_apikley_example_request_is_accepted() -> None:
    """The example of Apikley's page makes a task there, ratio understood."""
    at = bench(dialect="apikley")
    task_id = at.told("generate", page("004-generate-request.json"))["data"]["taskId"]
    assert at.provider.tasks[task_id].request.aspect_ratio == "16:9"


@pytest.mark.parametrize(
    "name", ["002-quickstart-text.json", "003-quickstart-image.json", "003-complete-workflow.json"]
)
def test_the_quickstarts_requests_are_accepted(name: str) -> None:
    """What the sample programs post makes a task for the model and ratio that they name."""
    at = bench(dialect="quickstart-1")
    task_id = at.told("generate", page(name))["data"]["taskId"]
    wanted = at.provider.tasks[task_id].request
    assert (wanted.model, wanted.aspect_ratio) == ("veo3", "16:9")


@pytest.mark.parametrize("dialect", [*_DIALECTS, "apikley"])
def test_generate_answers_as_on_every_page(dialect: str) -> None:
    """The answer to generate is the pages' example to the byte, given their task id."""
    at = bench(dialect=dialect, task_ids=["veo_task_abcdef123456"])
    answer = at.ask("generate", {"prompt": "a dog"})
    assert answer.json() == page("generate-answer.json")
    assert answer.body == b'{"code":200,"msg":"success","data":{"taskId":"veo_task_abcdef123456"}}'


def test_record_info_answers_as_on_its_page() -> None:
    """The record of ``openapi`` is the page's example, value for value but for the addresses of the files."""
    shown = page("002-record-info-answer.json")
    at = bench(dialect="openapi", task_ids=["veo_task_abcdef123456"], duration_s=300.0)
    at.now = 1_749_205_500.0  # 2025-06-06 10:25:00 UTC
    wanted = {"prompt": "A futuristic city with flying cars at sunset.", "watermark": "KieAI"}
    task_id = at.generate(wanted["prompt"], watermark="KieAI")
    at.pass_(300)
    told = at.record(task_id)
    told["data"]["response"]["resultUrls"] = shown["data"]["response"]["resultUrls"]
    assert told["data"]["response"].pop("originUrls") is None  # nothing is cropped at 16:9
    shown["data"]["response"].pop("originUrls")
    assert told == shown


def test_record_info_has_the_pages_fields_and_types() -> None:
    """Of a portrait clip, which has originals, the record has exactly the example's fields, each of its type."""
    at = bench(dialect="openapi")
    task_id = at.generate(aspectRatio="9:16")
    at.pass_(60)
    assert kinds(at.record(task_id)) == kinds(page("002-record-info-answer.json"))


def test_the_callback_is_as_on_apikleys_page() -> None:
    """A callback of ``apikley`` has exactly the schema's fields and values, its URL lists without quotes inside."""
    shown = page("004-callback.json")
    at = bench(dialect="apikley", task_ids=["veo_task_abcdef123456"])
    at.generate(aspectRatio="9:16", callBackUrl="http://127.0.0.1:1/done")
    at.pass_(60)
    told = json.loads(at.provider.due_callbacks(at.now)[0].body)
    info = told["data"]["info"]
    assert info["resultUrls"] == f"[{URL}/files/v/veo_task_abcdef123456_{START + 60:.0f}.mp4]"
    assert info["originUrls"] == f"[{URL}/files/v/veo_task_abcdef123456_{START + 60:.0f}_origin.mp4]"
    info["resultUrls"], info["originUrls"] = (shown["data"]["info"][name] for name in ("resultUrls", "originUrls"))
    info["resolution"] = "1080p"  # the page's example; this task was not asked for it
    assert told == shown


@pytest.mark.parametrize(("dialect", "flag_name"), [("quickstart-1", "status"), ("quickstart-2", "successFlag")])
def test_a_quickstart_record_holds_what_its_program_reads(dialect: str, flag_name: str) -> None:
    """The flag lies in ``data`` under the program's name, the URLs beside it as JSON in a string."""
    at = bench(dialect=dialect)
    task_id = at.generate()
    assert at.record(task_id)["data"][flag_name] == 0
    at.pass_(60)
    data = at.record(task_id)["data"]
    assert data[flag_name] == 1
    assert json.loads(data["resultUrls"]) == [f"{URL}/files/v/{task_id}_{START + 60:.0f}.mp4"]
    assert {"status", "successFlag"} & set(data) == {flag_name}


def test_callbacks_to_quickstarts_hold_json_in_a_string() -> None:
    """The sample receivers parse ``data.info.resultUrls``, so for them it is a string."""
    at = bench(dialect="quickstart-1")
    at.generate(callBackUrl="http://127.0.0.1:1/done")
    at.pass_(60)
    told = json.loads(at.provider.due_callbacks(at.now)[0].body)
    assert json.loads(told["data"]["info"]["resultUrls"])[0].startswith(URL)


def test_apikley_honours_camel_case_only() -> None:
    """There ``aspect_ratio`` is an unknown field and has no effect."""
    at = bench(dialect="apikley")
    ignored, heeded = at.generate(aspect_ratio="9:16"), at.generate(aspectRatio="9:16")
    ratios = [at.provider.tasks[task_id].request.aspect_ratio for task_id in (ignored, heeded)]
    assert ratios == ["16:9", "9:16"]


@pytest.mark.parametrize("endpoint", ["extend", "get-1080p-video", "get-4k-video", "download-url"])
def test_apikley_has_three_endpoints(endpoint: str) -> None:
    """What its pages do not know does not exist there."""
    assert bench(dialect="apikley").ask(endpoint, {"taskId": "x"}).status == 404


def test_the_real_record_while_running() -> None:
    """Real shapes: 32 hex digits, ``response: null``, epoch milliseconds, no stamp of completion."""
    at = bench()
    task_id = at.generate("a dog", watermark="MyBrand", callBackUrl="http://127.0.0.1:1/done")
    data = at.record(task_id)["data"]
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


def test_the_real_record_when_done() -> None:
    """Real shapes: the response filled, ``fullResultUrls: null``, one sound flag and one seed per video."""
    at = bench()
    task_id = at.generate(seeds=61668)
    at.pass_(61)
    data = at.record(task_id)["data"]
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
