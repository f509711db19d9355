"""The command line. It parses options and prints; the packages below it do the work.

- ``app.py``: the tree of commands. ``commands/``: one function per command, and ``options.py`` the options they share.
- ``batch.py``, ``batch_output.py``: a list. ``run_jobs.py``: one job, or all jobs on a ledger.
- ``job_output.py``: events and outcomes as text. ``ledger_file.py``, ``ledger_text.py``: a ledger and its jobs.
- ``progress.py``: what a run shows, as values and sentences. ``progress_source.py``: the same, read from a session.
- ``output.py``: the board on a terminal, lines elsewhere, JSON for programs. ``board.py``: how the board is drawn.
- ``formatting.py``: numbers and commands. ``signals.py``: Ctrl-C. ``exit_codes.py``: the exit codes.
- ``invocation.py``: what was typed, and the options of every command. ``console.py``: standard output.
- ``help_pages.py``: groups and layout of the help. ``completion.py``: completion in the user's shell.
- ``env_file.py``, ``api_key.py``, ``since.py``: the values of ``--env-file``, the API key and ``--since``.
- ``demo.py``: a batch against the simulator with injected failures. ``receiver.py``: its callbacks.
- ``doctor.py``, ``images.py``: checks before anything is sent.
"""

from .app import run

__all__ = ["run"]
