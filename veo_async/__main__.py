"""``python -m veo_async`` and ``veo-async``: the command line, or a word on what it needs."""

import sys


def main() -> None:
    """Run the command line of the extra ``cli``."""
    try:
        from .cli import run
    except ModuleNotFoundError as exc:
        if exc.name not in ("cyclopts", "rich"):
            raise
        sys.stderr.write("The command line needs two more packages: pip install 'veo-async[cli]'\n")
        raise SystemExit(2) from None
    run()


if __name__ == "__main__":
    main()
