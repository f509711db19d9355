"""Failed polls as one condition of all tasks."""

from veo_async._rules.polling.outage import DOWN_AFTER, PROBE_EVERY_S, Outage


def test_single_failures_do_not_count_as_an_outage() -> None:
    """Any response in between shows that the provider works."""
    outage = Outage()
    for now in range(100):
        outage.poll_begins(now)
        outage.poll_failed(now)
        if now % (DOWN_AFTER - 1) == 0:
            outage.responded()
        assert not outage.is_down
        assert outage.next_poll_at < now


def test_outage_allows_one_poll_per_interval() -> None:
    """The first after an interval, and then one after each probe, whether it has failed yet or not."""
    outage = Outage()
    for _ in range(DOWN_AFTER):
        outage.poll_failed(10.0)
    assert outage.is_down
    assert outage.next_poll_at == 10.0 + PROBE_EVERY_S
    outage.poll_failed(11.0)  # it was in flight
    assert outage.next_poll_at == 10.0 + PROBE_EVERY_S
    outage.poll_begins(15.0)
    assert outage.next_poll_at == 15.0 + PROBE_EVERY_S


def test_first_response_ends_an_outage() -> None:
    """Everything that is due may be polled immediately."""
    outage = Outage()
    for _ in range(10 * DOWN_AFTER):
        outage.poll_failed(10.0)
    outage.responded()
    assert not outage.is_down
    assert outage.next_poll_at < 0.0
