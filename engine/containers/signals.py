"""Signals by name or number, as Docker takes them."""

import re
import signal

import errdefs

_NAMES = {each.name.removeprefix("SIG"): each.value for each in signal.Signals}
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_REALTIME = {
    **{f"RTMIN+{n}": signal.SIGRTMIN + n for n in range(16)},
    **{f"RTMAX-{n}": signal.SIGRTMAX - n for n in range(15)},
}


def parse_signal(text: str) -> int:
    """The number of "KILL", "SIGKILL", "sigkill", "9" or "RTMIN+3"; InvalidArgument otherwise."""
    if _NUMBER.fullmatch(text):
        number = int(text)
        if number == 0:
            raise errdefs.InvalidArgument(f"invalid signal: {text}")
        if not 0 < number <= signal.SIGRTMAX:
            raise errdefs.InvalidArgument(f"the linux daemon does not support signal {number}")
        return number
    name = text.upper().removeprefix("SIG")
    number = _NAMES.get(name) or _REALTIME.get(name) or 0
    if not number:
        raise errdefs.InvalidArgument(f"invalid signal: {text}")
    return number
