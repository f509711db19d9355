"""The three ways to upload a file, and the errors of the upload host."""

import base64
import json
from typing import Any

import pytest

from veo_async.simulator import SimResponse, refuse

from .support import KEY, URL, Bench, bench

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
BASE64 = base64.b64encode(PNG).decode()


def form(parts: dict[str, bytes], file_name: str = "photo.png") -> tuple[bytes, dict[str, str]]:
    """Return a multipart body and its headers."""
    pieces = []
    for name, data in parts.items():
        more = f'; filename="{file_name}"' if name == "file" else ""
        pieces.append(
            f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
        )
    return b"".join(pieces) + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


def send_form(sim: Bench, parts: dict[str, bytes], key: str = KEY) -> SimResponse:
    body, headers = form(parts)
    return sim.send("POST", "/api/file-stream-upload", key=key, body=body, headers=headers)


def test_base64_upload_is_served() -> None:
    """The response has the real fields; ``downloadUrl`` returns the same bytes."""
    sim = bench()
    response = sim.request_json(
        "file-base64-upload", {"base64Data": BASE64, "uploadPath": "images", "fileName": "a.png"}
    )
    at_iso = "2025-06-15T15:06:40.000Z"
    assert response == {
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
    served = sim.download(response["data"]["downloadUrl"])
    assert served.body == PNG
    assert dict(served.headers)["Content-Type"] == "image/png"


def test_base64_upload_accepts_a_data_url() -> None:
    """Its prefix is removed, and its type gives the file extension."""
    sim = bench()
    response = sim.request_json(
        "file-base64-upload", {"base64Data": f"data:image/png;base64,{BASE64}", "uploadPath": "images"}
    )
    assert response["data"]["fileName"].endswith(".png")
    assert sim.download(response["data"]["downloadUrl"]).body == PNG


def test_form_upload_is_served() -> None:
    """Any bytes are stored unchanged under the requested name."""
    sim = bench()
    odd = b"\r\n--edg\r\n\x00\r\n"
    response = send_form(sim, {"uploadPath": b"clips", "fileName": b"b.bin", "file": odd}).json()
    assert response["data"]["filePath"] == "clips/b.bin"
    assert sim.download(response["data"]["downloadUrl"]).body == odd


def test_url_upload_copies_own_files_only() -> None:
    """For other hosts a placeholder is stored; the simulator never downloads anything."""
    sim = bench()
    first = sim.request_json("file-base64-upload", {"base64Data": BASE64, "uploadPath": "images"})["data"][
        "downloadUrl"
    ]
    response = sim.request_json("file-url-upload", {"fileUrl": first, "uploadPath": "copies", "fileName": "c.png"})
    assert sim.download(response["data"]["downloadUrl"]).body == PNG
    other_host = sim.request_json("file-url-upload", {"fileUrl": "https://example.com/d.jpg", "uploadPath": "copies"})
    assert other_host["data"]["mimeType"] == "image/jpeg"


def test_upload_with_the_same_name_overwrites() -> None:
    """The provider documents this."""
    sim = bench()
    for data in (b"old", b"new"):
        body = {"base64Data": base64.b64encode(data).decode(), "uploadPath": "x", "fileName": "y.txt"}
        url = sim.request_json("file-base64-upload", body)["data"]["downloadUrl"]
    assert sim.download(url).body == b"new"


def test_upload_expires_after_a_day() -> None:
    """Its URL then returns 403."""
    sim = bench()
    url = sim.request_json("file-base64-upload", {"base64Data": BASE64, "uploadPath": "x"})["data"]["downloadUrl"]
    sim.advance(86399)
    assert sim.download(url).status == 200
    sim.advance(1)
    assert sim.download(url).status == 403


def test_generation_with_an_expired_image_fails() -> None:
    """The task is accepted and then fails. Before expiry it succeeds."""
    sim = bench(duration_s=10.0)
    body = {"base64Data": BASE64, "uploadPath": "x", "fileName": "a b.png"}
    url = sim.request_json("file-base64-upload", body)["data"]["downloadUrl"]
    ends = []
    for _ in range(2):
        task_id = sim.generate("A dog", imageUrls=[url])
        sim.advance(11)
        ends.append(sim.record(task_id)["data"])
        sim.advance(86400)
    assert [end["successFlag"] for end in ends] == [1, 3]
    assert "Failed to fetch the image" in ends[1]["errorMessage"]


def test_quickstart_upload_response_has_more_fields() -> None:
    """It has both URLs and the time of expiry."""
    sim = bench(upload_form="quickstart")
    response = sim.request_json("file-base64-upload", {"base64Data": BASE64, "uploadPath": "x", "fileName": "a.png"})
    assert response["msg"] == "File upload successful"
    assert set(response["data"]) == {
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
def test_upload_error_is_http_400_without_data(endpoint: str, body: dict[str, Any], message: str) -> None:
    """The body has ``success: false`` and no ``data``."""
    response = bench().request(endpoint, body)
    assert response.status == 400
    assert response.json() == {"success": False, "code": 400, "msg": message}


def test_form_upload_without_a_required_part_gets_400() -> None:
    """The file and the folder are required."""
    sim = bench()
    assert send_form(sim, {"uploadPath": b"x"}).json()["msg"] == "Missing required parameter: file"
    assert send_form(sim, {"file": b"x"}).json()["msg"] == "Missing required parameter: uploadPath"


def test_upload_with_an_unknown_key_gets_http_401() -> None:
    """The upload host uses the HTTP status, unlike the API."""
    response = send_form(bench(), {"file": b"x", "uploadPath": b"x"}, key="wrong")
    assert response.status == 401
    assert response.json() == {"success": False, "code": 401, "msg": "Authentication failed: Invalid API Key"}


def test_upload_by_get_gets_405() -> None:
    """Only POST is allowed."""
    assert bench().send("GET", "/api/file-url-upload").status == 405


def test_upload_can_fail_by_a_fault() -> None:
    """The fault is a 500 of the upload host."""
    sim = bench(faults=[refuse(500, "Internal server error", form="http", endpoint="file-base64-upload")])
    response = sim.request("file-base64-upload", {"base64Data": BASE64, "uploadPath": "x"})
    assert (response.status, json.loads(response.body)["code"]) == (500, 500)
