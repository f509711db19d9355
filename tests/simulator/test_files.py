"""The download host: ranges, validators, expiry."""

import pytest

from veo_async.simulator import SimResponse

from .support import Bench, bench


def hosted(**options: object) -> tuple[Bench, str, SimResponse]:
    """A bench, the address of a finished clip, and the whole of it."""
    at = bench(**options)
    task_id = at.generate()
    at.pass_(60)
    (url,) = at.record(task_id)["data"]["response"]["resultUrls"]
    return at, url, at.download(url)


def test_a_result_is_a_playable_file() -> None:
    """An MP4 by its type and its first box, with validators, without asking for a key."""
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
    ("asked", "start", "end"), [("bytes=100-199", 100, 200), ("bytes=100-", 100, None), ("bytes=-50", -50, None)]
)
def test_a_range_is_answered_exactly(asked: str, start: int, end: int | None) -> None:
    """First to last, from first on, and the last so many."""
    at, url, whole = hosted()
    part = at.download(url, range=asked)
    size = len(whole.body)
    expected = whole.body[start:end]
    first = start % size
    assert part.status == 206
    assert part.body == expected
    assert dict(part.headers)["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{size}"


def test_a_range_may_overshoot_the_end() -> None:
    """The last byte asked for is cut to the last there is."""
    at, url, whole = hosted()
    assert at.download(url, range="bytes=10-99999999").body == whole.body[10:]


def test_a_range_beyond_the_end_is_416() -> None:
    """With the true size, so that the client can find its way."""
    at, url, whole = hosted()
    answer = at.download(url, range=f"bytes={len(whole.body)}-")
    assert answer.status == 416
    assert dict(answer.headers)["Content-Range"] == f"bytes */{len(whole.body)}"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6"])
def test_an_unintelligible_range_is_ignored(asked: str) -> None:
    """The whole file is always a right answer."""
    at, url, whole = hosted()
    assert at.download(url, range=asked).body == whole.body


def test_if_range_guards_against_another_file() -> None:
    """A range only while ETag or date still hold, else the whole."""
    at, url, whole = hosted()
    headers = dict(whole.headers)
    for validator in (headers["ETag"], headers["Last-Modified"]):
        assert at.download(url, range="bytes=5-", if_range=validator).status == 206
    assert at.download(url, range="bytes=5-", if_range='"another"').status == 200


def test_an_unchanged_file_is_not_sent_again() -> None:
    """If-None-Match with its ETag: 304 without a body."""
    at, url, whole = hosted()
    answer = at.download(url, if_none_match=dict(whole.headers)["ETag"])
    assert (answer.status, answer.body) == (304, b"")


def test_addresses_expire() -> None:
    """After its time an address is a 403 that is no film."""
    at, url, _ = hosted(file_ttl_s=100.0)
    at.pass_(99)
    assert at.download(url).status == 200
    at.pass_(1)
    answer = at.download(url)
    assert (answer.status, dict(answer.headers)["Content-Type"]) == (403, "application/xml")


def test_an_unknown_address_is_404() -> None:
    """Nothing lies there."""
    assert bench().download("/files/v/nothing.mp4").status == 404


def test_files_are_only_read() -> None:
    """Other methods are not allowed."""
    at, url, _ = hosted()
    assert at.raw("POST", url.removeprefix("http://sim.test")).status == 405


def test_the_log_tells_when_a_key_was_sent_to_the_file_host() -> None:
    """A client that leaks its key can be caught."""
    at, url, _ = hosted()
    at.raw("GET", url.removeprefix("http://sim.test"), key="dummy-key")
    downloads = [seen.has_key for seen in at.provider.log if seen.endpoint == "download"]
    assert downloads == [False, True]
