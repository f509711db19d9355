"""Each guarantee with the tests that fail if it is broken; the page about proofs shows them as tables."""

from .markdown import table

#: Statement and test, by section.
GUARANTEES: dict[str, tuple[tuple[str, str], ...]] = {
    "One job, one paid request": (
        (
            "A job sends at most one paid request, unless you ask for another",
            "tests/runtime/test_in_doubt.py::test_row_15_server_error_on_submission_puts_the_job_in_doubt",
        ),
        (
            "Several processes that submit the same list pay once per job",
            "tests/runtime/test_processes.py::test_row_62_concurrent_processes_are_charged_once_per_job",
        ),
        (
            "A later run that submits it again pays nothing",
            "tests/runtime/test_resume.py::test_keys_of_an_earlier_run_attach_without_a_charge",
        ),
        (
            "Of several accounts one pays for a job, also after a crash and under another rule",
            "tests/runtime/test_accounts_processes.py::test_program_that_is_killed_and_run_with_another_rule_keeps_each_job_on_its_account",
        ),
        (
            "A callback to the attempt's own address binds a job whose response was lost to its task",
            "tests/runtime/test_in_doubt.py::test_row_50_lost_response_is_bound_by_its_callback",
        ),
        (
            "A callback binds nothing that the task's record does not prove",
            "tests/runtime/test_in_doubt.py::test_row_41_callback_naming_another_task_binds_nothing",
        ),
        (
            "A ledger that was restored from a backup refuses to open until you accept it",
            "tests/ledger/test_sqlite_home.py::test_restored_ledger_refuses_to_open",
        ),
    ),
    "Nothing paid is lost": (
        (
            "The intent is on disk before the first byte is sent",
            "tests/runtime/test_ledger_errors.py::test_rows_64_and_66_no_request_is_sent_before_its_intent_is_stored",
        ),
        (
            "A task id is on disk before your code can see it",
            "tests/runtime/test_ledger_errors.py::test_row_66_response_that_cannot_be_stored_is_not_reported_and_not_lost",
        ),
        (
            "What was acknowledged is never lost when commits to the disk fail",
            "tests/ledger/test_sqlite_faults.py::test_random_commit_failures_lose_nothing_acknowledged",
        ),
        (
            "A process that is killed before its intent is written has sent nothing; the next one sends the request",
            "tests/crash/test_kill_points.py::test_row_48_killed_before_the_intent_is_written_sends_nothing",
        ),
        (
            "A process that is killed before the response is written leaves a job in doubt, which is not sent again",
            "tests/crash/test_kill_points.py::test_row_49_killed_between_commit_and_first_byte_is_in_doubt",
        ),
        (
            "Its callback binds that job in the next process",
            "tests/crash/test_kill_points.py::test_row_51_killed_before_the_task_id_is_stored_is_bound_by_the_callback",
        ),
        (
            "The next session resumes the jobs of a process that died",
            "tests/runtime/test_resume.py::test_later_session_resumes_the_jobs_of_an_earlier_one",
        ),
        (
            "Ctrl-C and SIGTERM collect running clips and lose nothing",
            "tests/cli/test_batch.py::test_interrupted_batch_saves_running_clips_and_continues_without_a_second_charge",
        ),
    ),
    "Slow is not failed": (
        (
            "A timeout ends the waiting, not the job",
            "tests/runtime/test_waiting.py::test_wait_raises_still_running_and_changes_nothing",
        ),
        ("A failed poll never ends a job", "tests/runtime/test_polling.py::test_job_survives_failed_polls"),
    ),
    "Done means bytes": (
        (
            "A file has its final name only when it is complete",
            "tests/runtime/test_saving.py::test_job_with_save_to_finishes_when_its_file_is_complete",
        ),
        (
            "An expired link is renewed, and the download continues",
            "tests/media/test_resuming.py::test_expired_link_is_renewed_and_the_download_resumed",
        ),
    ),
    "One account, one rate limit": (
        (
            "All sessions of one account together keep to its rate limit",
            "tests/runtime/test_resume.py::test_two_sessions_share_the_accounts_limit",
        ),
        (
            "A burst of 429s closes the gate once and fails no job",
            "tests/runtime/test_provider_errors.py::test_row_8_burst_of_429s_is_one_closure",
        ),
    ),
    "Jobs are isolated": (
        (
            "A cancelled waiter disturbs no other waiter",
            "tests/runtime/test_waiting.py::test_row_55_cancelled_waiter_affects_no_other",
        ),
        (
            "An unreadable row of the ledger is reported, and the other jobs continue",
            "tests/runtime/test_unreadable_rows.py::test_unreadable_row_is_reported_and_the_other_jobs_continue",
        ),
        (
            "A small tenant does not wait for the batch of a large one",
            "tests/rules/test_fair_queue.py::test_small_tenant_does_not_wait_for_a_large_batch",
        ),
    ),
    "Money limits hold": (
        (
            "A budget holds for fifty submissions at the same time",
            "tests/runtime/test_credits.py::test_row_83_budget_holds_for_fifty_concurrent_submissions",
        ),
        (
            "Three processes with one budget spend it once",
            "tests/cli/test_batch_budget.py::test_three_processes_with_one_budget_spend_it_once",
        ),
        (
            "A list that the balance does not cover is not started",
            "tests/cli/test_batch_rows.py::test_list_beyond_the_balance_is_not_sent",
        ),
    ),
    "All of it together": (
        (
            "Random failures of the network, the provider, the ledger, callbacks and sessions",
            "tests/crash/test_simulation.py::test_batches_under_random_faults_are_safe_and_finish",
        ),
        (
            "A provider that cuts, delays, mixes up and lies",
            "tests/edges/test_hostile_provider.py::test_guarantees_hold_against_a_hostile_provider",
        ),
    ),
}


def guarantee_tables() -> str:
    """Return a section for each kind of guarantee."""
    sections = ["## Guarantees\n"]
    for title, statements in GUARANTEES.items():
        rows = [[statement, _link(test)] for statement, test in statements]
        sections.append(f"### {title}\n\n{table(['guarantee', 'test'], rows)}")
    return "\n".join(sections)


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f'[{file.removeprefix("tests/")}](../../{file} "{name}")'
