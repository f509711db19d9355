"""Which route new requests take, and on what evidence ``route="auto"`` moves them."""

from collections.abc import Callable

import pytest

from veo_async._rules.route_choice import MIN_GAP_S, RouteChoice, RouteSetting, Step
from veo_async._wire import RouteName


def suspicious() -> RouteChoice:
    """Return a choice that has seen one 404, for job "a" at time 0."""
    choice = RouteChoice("auto")
    assert choice.not_found("a", "veo", 0.0, key_number=1) is Step.WAIT
    return choice


def proved() -> RouteChoice:
    """Return a choice that has seen both 404s."""
    choice = suspicious()
    assert choice.not_found("b", "veo", MIN_GAP_S, key_number=1) is Step.READ_BALANCE
    return choice


def moved() -> RouteChoice:
    """Return a choice that has moved."""
    choice = proved()
    assert choice.balance_read(is_success=True, key_number=1, prices_are_equal=True) is Step.MOVE
    return choice


@pytest.mark.parametrize(("setting", "route"), [("veo", "veo"), ("jobs", "jobs"), ("auto", "veo")])
def test_the_first_request_takes_the_route_of_the_setting(setting: RouteSetting, route: RouteName) -> None:
    assert RouteChoice(setting).route_for() == route
    assert not RouteChoice(setting).is_changed


@pytest.mark.parametrize("setting", ["veo", "jobs"])
def test_a_404_on_a_fixed_route_refuses_and_is_no_evidence(setting: RouteName) -> None:
    choice = RouteChoice(setting)
    assert choice.not_found("a", setting, 0.0, key_number=1) is Step.REFUSE
    assert choice.not_found("b", setting, MIN_GAP_S, key_number=1) is Step.REFUSE
    assert choice.route == setting
    assert not choice.is_suspicious


def test_two_404s_apart_and_a_balance_move_the_route() -> None:
    choice = moved()
    assert choice.route == choice.route_for() == "jobs"
    assert choice.is_changed
    assert not choice.is_suspicious


def test_the_first_404_makes_requests_wait_on_the_same_route() -> None:
    choice = suspicious()
    assert choice.is_suspicious
    assert choice.route == "veo"


def test_two_404s_alone_do_not_move_the_route() -> None:
    assert proved().route == "veo"


def test_404s_close_together_are_no_proof() -> None:
    choice = suspicious()
    assert choice.not_found("b", "veo", MIN_GAP_S - 0.1, key_number=1) is Step.WAIT
    assert choice.balance_read(is_success=True, key_number=1, prices_are_equal=True) is Step.WAIT
    assert choice.route == "veo"


def test_two_404s_of_the_same_request_are_no_proof() -> None:
    choice = suspicious()
    assert not choice.is_evidence_from("a", MIN_GAP_S)
    assert choice.not_found("a", "veo", MIN_GAP_S, key_number=1) is Step.WAIT
    assert choice.is_evidence_from("b", MIN_GAP_S)
    assert choice.not_found("b", "veo", MIN_GAP_S, key_number=1) is Step.READ_BALANCE


def test_a_second_404_of_the_only_request_refuses_it() -> None:
    choice = RouteChoice("auto")
    assert choice.not_found("a", "veo", 0.0, key_number=1, is_alone=True) is Step.WAIT
    assert choice.not_found("a", "veo", MIN_GAP_S, key_number=1, is_alone=True) is Step.REFUSE


def test_a_repeated_404_counts_against_one_that_came_at_the_same_time() -> None:
    choice = suspicious()
    assert choice.not_found("b", "veo", 0.0, key_number=1) is Step.WAIT
    assert choice.not_found("a", "veo", MIN_GAP_S, key_number=1) is Step.READ_BALANCE


def test_a_failed_balance_read_waits_and_the_next_404_reads_again() -> None:
    choice = proved()
    assert choice.balance_read(is_success=False, key_number=1, prices_are_equal=True) is Step.WAIT
    assert choice.not_found("b", "veo", MIN_GAP_S + 1, key_number=1) is Step.READ_BALANCE
    assert choice.balance_read(is_success=True, key_number=1, prices_are_equal=True) is Step.MOVE


def test_a_balance_of_another_key_is_no_evidence() -> None:
    choice = proved()
    assert choice.balance_read(is_success=True, key_number=2, prices_are_equal=True) is Step.WAIT
    assert choice.route == "veo"


def test_a_404_with_another_key_begins_the_evidence_again() -> None:
    choice = suspicious()
    assert choice.not_found("b", "veo", MIN_GAP_S, key_number=2) is Step.WAIT
    assert choice.not_found("a", "veo", MIN_GAP_S + 1, key_number=2) is Step.WAIT


def test_different_prices_stop_instead_of_moving() -> None:
    choice = proved()
    assert choice.balance_read(is_success=True, key_number=1, prices_are_equal=False) is Step.STOP
    assert choice.route == "veo"


@pytest.mark.parametrize("make", [suspicious, proved])
def test_an_accepted_request_clears_the_evidence(make: Callable[[], RouteChoice]) -> None:
    choice = make()
    assert choice.accepted("veo")
    assert not choice.is_suspicious
    assert choice.balance_read(is_success=True, key_number=1, prices_are_equal=True) is Step.WAIT
    assert choice.not_found("c", "veo", 2 * MIN_GAP_S, key_number=1) is Step.WAIT


def test_an_accepted_request_without_suspicion_ends_nothing() -> None:
    assert not RouteChoice("auto").accepted("veo")


def test_an_accepted_request_on_jobs_does_not_clear_the_evidence() -> None:
    choice = suspicious()
    assert not choice.accepted("jobs")
    assert choice.is_suspicious


def test_the_route_never_moves_back() -> None:
    choice = moved()
    choice.accepted("veo")
    assert choice.not_found("c", "jobs", 999.0, key_number=1) is Step.REFUSE
    assert choice.route == "jobs"


def test_a_late_404_of_the_left_route_queues_the_job_again() -> None:
    assert moved().not_found("c", "veo", MIN_GAP_S + 1, key_number=1) is Step.REQUEUE


@pytest.mark.parametrize("source", ["veo", "jobs"])
def test_a_follow_up_takes_the_route_of_its_source(source: RouteName) -> None:
    assert RouteChoice("auto").route_for(source) == source
    assert moved().route_for(source) == source
