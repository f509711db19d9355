"""Uploads in their three forms, with the error forms of their own host."""

import base64
import json
from typing import Any

import pytest

from veo_async.simulator import SimResponse, refuse

from .support import KEY, URL, Bench, bench

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
BASE64 = base64.b64encode(PNG).decode()


def form(parts: dict[str, bytes], file_name: str = "photo.png") -> tuple[bytes, dict[str, str]]:
    """A multipart body and its header."""
    pieces = []
    for name, data in parts.items():
        more = f'; filename="{file_name}"' if name == "file" else ""
        pieces.append(
            f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
        )
    return b"".join(pieces) + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


def send_form(at: Bench, parts: dict[str, bytes], key: str = KEY) -> SimResponse:
    body, headers = form(parts)
    return at.raw("POST", "/api/file-stream-upload", key=key, body=body, headers=headers)


def test_base64_is_kept_and_served_back() -> None:
    """The real answer's fields, and the same bytes behind ``downloadUrl``."""
    at = bench()
    told = at.told("file-base64-upload", {"base64Data": BASE64, "uploadPath": "images", "fileName": "a.png"})
    at_iso = "2025-06-15T15:06:40.000Z"
    assert told == {
        "success": True,
        "code": 200,
        "msg": "File uploaded successfully",
        "data": {
            "fileName": "a.png",
            "filePath": "images/a.png",
            "downloadUrl": f"{URL}/files/u/images/a.png",
            "fileSize": len(PNG),
            "mimeType": "image/png",
            "uploadedAt": at_iso,
        },
    }
    served = at.download(told["data"]["downloadUrl"])
    assert served.body == PNG
    assert dict(served.headers)["Content-Type"] == "image/png"


def test_a_data_url_is_base64_too() -> None:
    """Its prefix is taken off, and its type names the file."""
    at = bench()
    told = at.told("file-base64-upload", {"base64Data": f"data:image/png;base64,{BASE64}", "uploadPath": "images"})
    assert told["data"]["fileName"].endswith(".png")
    assert at.download(told["data"]["downloadUrl"]).body == PNG


def test_a_form_is_kept_and_served_back() -> None:
    """The bytes of the part, whatever they are, under the name that was asked for."""
    at = bench()
    odd = b"\r\n--edg\r\n\x00\r\n"
    told = send_form(at, {"uploadPath": b"clips", "fileName": b"b.bin", "file": odd}).json()
    assert told["data"]["filePath"] == "clips/b.bin"
    assert at.download(told["data"]["downloadUrl"]).body == odd


def test_an_upload_by_url_of_our_own_file_is_a_copy() -> None:
    """What lies at an address of ours is copied; nothing is ever fetched from elsewhere."""
    at = bench()
    first = at.told("file-base64-upload", {"base64Data": BASE64, "uploadPath": "images"})["data"]["downloadUrl"]
    told = at.told("file-url-upload", {"fileUrl": first, "uploadPath": "copies", "fileName": "c.png"})
    assert at.download(told["data"]["downloadUrl"]).body == PNG
    foreign = at.told("file-url-upload", {"fileUrl": "https://example.com/d.jpg", "uploadPath": "copies"})
    assert foreign["data"]["mimeType"] == "image/jpeg"


def test_the_same_name_overwrites() -> None:
    """As the page says."""
    at = bench()
    for data in (b"old", b"new"):
        body = {"base64Data": base64.b64encode(data).decode(), "uploadPath": "x", "fileName": "y.txt"}
        url = at.told("file-base64-upload", body)["data"]["downloadUrl"]
    assert at.download(url).body == b"new"


def test_an_upload_expires_after_three_days() -> None:
    """Then its address is a 403."""
    at = bench()
    url = at.told("file-base64-upload", {"base64Data": BASE64, "uploadPath": "x"})["data"]["downloadUrl"]
    at.pass_(3 * 86400)
    assert at.download(url).status == 403


def test_a_clip_of_an_expired_upload_fails() -> None:
    """The provider cannot fetch it any more: accepted, then failed. As long as it is there, it is fetched."""
    at = bench(duration_s=10.0)
    body = {"base64Data": BASE64, "uploadPath": "x", "fileName": "a b.png"}
    url = at.told("file-base64-upload", body)["data"]["downloadUrl"]
    ends = []
    for _ in range(2):
        task_id = at.generate("A dog", imageUrls=[url])
        at.pass_(11)
        ends.append(at.record(task_id)["data"])
        at.pass_(3 * 86400)
    assert [end["successFlag"] for end in ends] == [1, 3]
    assert "Failed to fetch the image" in ends[1]["errorMessage"]


def test_the_quickstart_form_tells_more() -> None:
    """Its fields, with both URLs and an expiry."""
    at = bench(upload_form="quickstart")
    told = at.told("file-base64-upload", {"base64Data": BASE64, "uploadPath": "x", "fileName": "a.png"})
    assert told["msg"] == "File upload successful"
    assert set(told["data"]) == {
        "fileId",
        "fileName",
        "originalName",
        "fileSize",
        "mimeType",
        "uploadPath",
        "fileUrl",
        "downloadUrl",
        "uploadTime",
        "expiresAt",
    }


@pytest.mark.parametrize(
    ("endpoint", "body", "message"),
    [
        ("file-base64-upload", {"base64Data": BASE64}, "Missing required parameter: uploadPath"),
        ("file-base64-upload", {"uploadPath": "x"}, "Missing required parameter: base64Data"),
        (
            "file-base64-upload",
            {"base64Data": "%%", "uploadPath": "x"},
            "Base64 decoding failed: Invalid Base64 format",
        ),
        ("file-url-upload", {"uploadPath": "x"}, "Missing required parameter: fileUrl"),
    ],
)
def test_upload_errors_are_http_400_without_data(endpoint: str, body: dict[str, Any], message: str) -> None:
    """A real status, ``success: false``, and no ``data`` key."""
    answer = bench().ask(endpoint, body)
    assert answer.status == 400
    assert answer.json() == {"success": False, "code": 400, "msg": message}


def test_a_form_without_its_parts_is_400() -> None:
    """File and folder are both required."""
    at = bench()
    assert send_form(at, {"uploadPath": b"x"}).json()["msg"] == "Missing required parameter: file"
    assert send_form(at, {"file": b"x"}).json()["msg"] == "Missing required parameter: uploadPath"


def test_an_upload_without_a_key_is_http_401() -> None:
    """This host uses the status, whatever the API does."""
    answer = send_form(bench(), {"file": b"x", "uploadPath": b"x"}, key="wrong")
    assert answer.status == 401
    assert answer.json() == {"success": False, "code": 401, "msg": "Authentication failed: Invalid API Key"}


def test_an_upload_by_get_is_http_405() -> None:
    """Wrong methods are refused."""
    assert bench().raw("GET", "/api/file-url-upload").status == 405


def test_an_upload_can_break_on_order() -> None:
    """A 500 of this host by a fault."""
    at = bench(faults=[refuse(500, "Internal server error", form="http", endpoint="file-base64-upload")])
    answer = at.ask("file-base64-upload", {"base64Data": BASE64, "uploadPath": "x"})
    assert (answer.status, json.loads(answer.body)["code"]) == (500, 500)
