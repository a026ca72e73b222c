"""How a command of RUN failed, as BuildKit words it: pure."""

from collections.abc import Sequence

import errdefs
from engine.build.dockerfile.text import quoted

_OUT_OF_MEMORY = "cannot allocate memory"
_RUNTIME = "runc create failed: "
_UNKNOWN = ": unknown"


class StepFailed(errdefs.WherryError):
    """The command did not succeed: `code` is its exit code, 128+n for signal n."""

    def __init__(self, args: Sequence[str], code: int, *, cause: str = "") -> None:
        super().__init__(f"{_unsuccessful(args)}: {cause or f'exit code: {code}'}")
        self.code = code

    @classmethod
    def for_want_of_memory(cls, args: Sequence[str], code: int) -> "StepFailed":
        """The kernel killed one of its processes for want of memory."""
        return cls(args, code, cause=_OUT_OF_MEMORY)


def not_started(args: Sequence[str], error: errdefs.WherryError) -> errdefs.WherryError:
    """The same failure, of what comes before the process, told as one of the process."""
    return type(error)(f"{_unsuccessful(args)}: {error.message}")


def alone(args: Sequence[str], message: str) -> str:
    """What a failure says without telling that it is one of that process."""
    return message.removeprefix(f"{_unsuccessful(args)}: ")


def of_runtime(error: errdefs.WherryError) -> str:
    """What the runtime itself said when it could not start a command; "" if the failure is not its."""
    _, its, cause = error.message.partition(_RUNTIME)
    return f"runc run failed: {cause.removesuffix(_UNKNOWN)}" if its else ""


def _unsuccessful(args: Sequence[str]) -> str:
    return f"process {quoted(' '.join(args))} did not complete successfully"
