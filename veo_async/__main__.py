"""Run the command line: ``python -m veo_async`` or ``veo-async``."""

import sys


def main() -> None:
    """Run the command line, or print how to install the extra that it needs."""
    try:
        from .cli import run
    except ModuleNotFoundError as exc:
        if exc.name not in ("cyclopts", "rich"):
            raise
        sys.stderr.write("The command line needs the cli extra: pip install 'veo-async[cli]'\n")
        raise SystemExit(2) from None
    run()


if __name__ == "__main__":
    main()
