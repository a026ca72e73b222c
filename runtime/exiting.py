"""Whether a process is about to end, by the kernel's own word."""

_PF_EXITING = 0x4  # linux/sched.h


def exiting(pid: int) -> bool:
    """Whether a process is ending, or has ended.

    An init stays there, in the root of all control groups, while the others of its PID namespace are killed.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            flags = int(stat.read().rpartition(b")")[2].split()[6])
    except OSError:
        return True
    return bool(flags & _PF_EXITING)
