"""record-info beside the happy path, and the small reads."""

from .support import URL, bench


def test_an_unknown_id_is_a_422() -> None:
    """Never a 404: the sentence tells."""
    for query in ({"taskId": "nobody"}, {}):
        told = bench().told("record-info", **query)
        assert told == {"code": 422, "msg": "record is null.", "data": None}


def test_a_new_record_is_unknown_for_a_while() -> None:
    """In the gap the id is not known, afterwards it is."""
    at = bench(record_delay_s=5.0)
    task_id = at.generate()
    assert at.record(task_id)["msg"] == "record is null."
    at.pass_(5)
    assert at.record(task_id)["data"]["successFlag"] == 0


def test_the_gap_can_be_told_as_null() -> None:
    """The other form seen: code 200 with nothing in it."""
    at = bench(record_delay_s=5.0, record_delay_form="null")
    assert at.record(at.generate()) == {"code": 200, "msg": "success", "data": None}


def test_records_are_kept_for_14_days() -> None:
    """After that the sentence about 14 days."""
    at = bench()
    task_id = at.generate()
    at.pass_(14 * 86400)
    assert at.record(task_id)["code"] == 200
    at.pass_(1)
    assert at.record(task_id)["msg"] == "Temporarily supports records within 14 days."


def test_the_balance_is_a_bare_number() -> None:
    """A float in ``data`` itself, fractions and all."""
    assert bench(credits=812.5).told("credit") == {"code": 200, "msg": "success", "data": 812.5}


def test_a_download_link_works_for_20_minutes() -> None:
    """The link is a bare string that leads to the same bytes, and then expires."""
    at = bench()
    task_id = at.generate()
    at.pass_(60)
    (url,) = at.record(task_id)["data"]["response"]["resultUrls"]
    link = at.told("download-url", {"url": url})["data"]
    assert link != url
    assert at.download(link).body == at.download(url).body
    at.pass_(20 * 60)
    assert at.download(link).status == 403


def test_a_link_refreshes_an_expired_result() -> None:
    """The file outlives its first address."""
    at = bench(file_ttl_s=10.0)
    task_id = at.generate()
    at.pass_(75)
    (url,) = at.record(task_id)["data"]["response"]["resultUrls"]
    assert at.download(url).status == 403
    assert at.download(at.told("download-url", {"url": url})["data"]).status == 200


def test_links_to_nothing_are_minted_too() -> None:
    """The provider does not look whether anything lies behind its own address."""
    at = bench()
    told = at.told("download-url", {"url": f"{URL}/files/v/never.mp4"})
    assert told["code"] == 200
    assert at.download(told["data"]).status == 404


def test_foreign_addresses_get_no_link() -> None:
    """Others' URLs, and what is none, are 422."""
    at = bench()
    for body in ({"url": "https://example.com/a.mp4"}, {"url": 5}, {}, []):
        assert at.told("download-url", body)["code"] == 422
