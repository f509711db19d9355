"""Numbers and durations as people read them."""


def format_count(number: int, noun: str) -> str:
    """Return *number* with its noun in the right form: ``1 clip``, ``2 clips``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_number(number: float) -> str:
    """Return *number* with thousands separators and at most two decimals: ``1,000,000``, ``12.5``."""
    text = f"{number:,.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def plain_number(number: float) -> str:
    """Return *number* as a program or a spreadsheet reads it: without separators or an exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def format_duration(seconds: float) -> str:
    """Return a duration without false precision: ``42 s``, ``12 min``, ``2 h 15 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
