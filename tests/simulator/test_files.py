"""The download host: ranges, validators and expiry."""

import pytest

from veo_async.simulator import SimResponse

from .support import Bench, bench


def hosted(**options: object) -> tuple[Bench, str, SimResponse]:
    """Return a bench, the URL of a finished clip, and the response with the whole file."""
    sim = bench(**options)
    task_id = sim.generate()
    sim.advance(60)
    (url,) = sim.record(task_id)["data"]["response"]["resultUrls"]
    return sim, url, sim.download(url)


def test_result_is_an_mp4_with_validators() -> None:
    """No API key is needed to download it."""
    _, _, whole = hosted()
    headers = dict(whole.headers)
    assert whole.status == 200
    assert whole.body[4:8] == b"ftyp"
    assert b"moov" in whole.body
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"].startswith('"')
    assert headers["Last-Modified"].endswith("GMT")


@pytest.mark.parametrize(
    ("range_header", "start", "end"), [("bytes=100-199", 100, 200), ("bytes=100-", 100, None), ("bytes=-50", -50, None)]
)
def test_range_request_gets_exactly_that_range(range_header: str, start: int, end: int | None) -> None:
    """From first to last, from first to the end, or the last bytes."""
    sim, url, whole = hosted()
    part = sim.download(url, range=range_header)
    size = len(whole.body)
    expected = whole.body[start:end]
    first = start % size
    assert part.status == 206
    assert part.body == expected
    assert dict(part.headers)["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{size}"


def test_range_is_cut_at_the_end_of_the_file() -> None:
    """A last byte beyond the end is allowed."""
    sim, url, whole = hosted()
    assert sim.download(url, range="bytes=10-99999999").body == whole.body[10:]


def test_range_beyond_the_end_gets_416() -> None:
    """The response states the real size."""
    sim, url, whole = hosted()
    response = sim.download(url, range=f"bytes={len(whole.body)}-")
    assert response.status == 416
    assert dict(response.headers)["Content-Range"] == f"bytes */{len(whole.body)}"


@pytest.mark.parametrize("range_header", ["bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6"])
def test_invalid_range_is_ignored(range_header: str) -> None:
    """The response is the whole file."""
    sim, url, whole = hosted()
    assert sim.download(url, range=range_header).body == whole.body


def test_if_range_with_another_validator_gets_the_whole_file() -> None:
    """A range is sent only if the ETag or the date matches."""
    sim, url, whole = hosted()
    headers = dict(whole.headers)
    for validator in (headers["ETag"], headers["Last-Modified"]):
        assert sim.download(url, range="bytes=5-", if_range=validator).status == 206
    assert sim.download(url, range="bytes=5-", if_range='"another"').status == 200


def test_if_none_match_gets_304() -> None:
    """The response has no body."""
    sim, url, whole = hosted()
    response = sim.download(url, if_none_match=dict(whole.headers)["ETag"])
    assert (response.status, response.body) == (304, b"")


def test_expired_url_gets_403() -> None:
    """The body is an XML error, not a video."""
    sim, url, _ = hosted(file_ttl_s=100.0)
    sim.advance(99)
    assert sim.download(url).status == 200
    sim.advance(1)
    response = sim.download(url)
    assert (response.status, dict(response.headers)["Content-Type"]) == (403, "application/xml")


def test_unknown_url_gets_404() -> None:
    """There is no file at this URL."""
    assert bench().download("/files/v/nothing.mp4").status == 404


def test_post_to_a_file_gets_405() -> None:
    """Only GET and HEAD are allowed."""
    sim, url, _ = hosted()
    assert sim.send("POST", url.removeprefix("http://sim.test")).status == 405


def test_log_shows_a_key_sent_to_the_download_host() -> None:
    """A test can detect a client that leaks its API key."""
    sim, url, _ = hosted()
    sim.send("GET", url.removeprefix("http://sim.test"), key="dummy-key")
    downloads = [seen.has_key for seen in sim.provider.log if seen.endpoint == "download"]
    assert downloads == [False, True]
