"""``results.jsonl``: each result once, also with several writers, and no torn line."""

import asyncio
import json
import sys
from pathlib import Path

from veo_async.batch.result_log import ResultLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_same_result_is_written_once_also_by_another_process(tmp_path: Path) -> None:
    """Another result of the same key gets a line; a line of another log is noticed."""
    path = tmp_path / "results.jsonl"
    one, two = ResultLog(path), ResultLog(path)
    one.open()
    two.open()
    for log in (one, two, one):
        log.append({"key": "dog", "line": 2, "status": "refused"})
    two.append({"key": "dog", "line": 9, "status": "refused"})
    two.append({"key": "dog", "line": 9, "status": "saved"})
    one.append({"key": "dog", "line": 2, "status": "saved"})
    later = ResultLog(path)
    later.open()
    later.append({"key": "dog", "line": 2, "status": "saved"})
    assert [line["status"] for line in lines(path)] == ["refused", "saved"]


def test_lines_that_are_not_ours_are_kept(tmp_path: Path) -> None:
    """They are neither read as results nor removed."""
    path = tmp_path / "results.jsonl"
    path.write_text('not json\n[1]\n{"other": 1}\n')
    log = ResultLog(path)
    log.open()
    log.append({"key": "dog"})
    assert path.read_text().splitlines() == ["not json", "[1]", '{"other": 1}', '{"key": "dog"}']


def test_emptied_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    """The user may remove it during a run."""
    path = tmp_path / "results.jsonl"
    log = ResultLog(path)
    for key in ("dog", "cat"):
        log.append({"key": key})
    path.write_text("")
    log.append({"key": "dog"})
    assert lines(path) == [{"key": "dog"}]


async def test_processes_that_write_at_the_same_time_write_each_line_once(tmp_path: Path) -> None:
    """Four real processes, the same 50 results from each."""
    script = (
        "import sys; from pathlib import Path; from veo_async.batch.result_log import ResultLog\n"
        "log = ResultLog(Path(sys.argv[1])); log.open()\n"
        "for n in range(50): log.append({'key': f'row-{n}', 'status': 'saved'})\n"
    )
    path = tmp_path / "results.jsonl"
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(path)) for _ in range(4)]
    assert [await process.wait() for process in processes] == [0] * 4
    assert [line["key"] for line in lines(path)] == [f"row-{n}" for n in range(50)]
