"""record-info in unusual cases, the balance, and download links."""

from .support import URL, bench


def test_unknown_task_id_gets_422() -> None:
    """It is never a 404."""
    for query in ({"taskId": "unknown"}, {}):
        response = bench().request_json("record-info", **query)
        assert response == {"code": 422, "msg": "record is null.", "data": None}


def test_record_is_missing_during_the_delay() -> None:
    """It exists once ``record_delay_s`` has passed."""
    sim = bench(record_delay_s=5.0)
    task_id = sim.generate()
    assert sim.record(task_id)["msg"] == "record is null."
    sim.advance(5)
    assert sim.record(task_id)["data"]["successFlag"] == 0


def test_record_can_be_null_during_the_delay() -> None:
    """The other observed form is code 200 with ``data: null``."""
    sim = bench(record_delay_s=5.0, record_delay_form="null")
    assert sim.record(sim.generate()) == {"code": 200, "msg": "success", "data": None}


def test_records_are_kept_for_14_days() -> None:
    """Afterwards the message mentions 14 days."""
    sim = bench()
    task_id = sim.generate()
    sim.advance(14 * 86400)
    assert sim.record(task_id)["code"] == 200
    sim.advance(1)
    assert sim.record(task_id)["msg"] == "Temporarily supports records within 14 days."


def test_balance_is_a_number_in_data() -> None:
    """It may have a fraction."""
    assert bench(credits=812.5).request_json("credit") == {"code": 200, "msg": "success", "data": 812.5}


def test_download_link_works_for_20_minutes() -> None:
    """``data`` is the link, which leads to the same bytes until it expires."""
    sim = bench()
    task_id = sim.generate()
    sim.advance(60)
    (url,) = sim.record(task_id)["data"]["response"]["resultUrls"]
    link = sim.request_json("download-url", {"url": url})["data"]
    assert link != url
    assert sim.download(link).body == sim.download(url).body
    sim.advance(20 * 60)
    assert sim.download(link).status == 403


def test_download_link_renews_an_expired_result() -> None:
    """The file is kept longer than its first URL works."""
    sim = bench(file_ttl_s=10.0)
    task_id = sim.generate()
    sim.advance(75)
    (url,) = sim.record(task_id)["data"]["response"]["resultUrls"]
    assert sim.download(url).status == 403
    assert sim.download(sim.request_json("download-url", {"url": url})["data"]).status == 200


def test_download_link_is_issued_for_a_missing_file() -> None:
    """The provider does not check whether the file exists."""
    sim = bench()
    response = sim.request_json("download-url", {"url": f"{URL}/files/v/never.mp4"})
    assert response["code"] == 200
    assert sim.download(response["data"]).status == 404


def test_download_link_is_rejected_for_other_hosts() -> None:
    """Invalid URLs are rejected, too."""
    sim = bench()
    for body in ({"url": "https://example.com/a.mp4"}, {"url": 5}, {}, []):
        assert sim.request_json("download-url", body)["code"] == 422
