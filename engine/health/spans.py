"""Durations as Go writes them."""


def span(nanoseconds: int) -> str:
    """The text of a duration: "1m30s", "1.5s", "250ms", "2h0m0s"."""
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{_decimal(nanoseconds, size)}{unit}"
        return "0s"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(number: int, size: int) -> str:
    whole, rest = divmod(number, size)
    return f"{whole}.{rest:0{len(str(size)) - 1}}".rstrip("0").rstrip(".") if rest else str(whole)
