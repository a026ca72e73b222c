"""What came out, in Markdown, and the README's part that shows it."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import fsyncs
from tests.bench.contest import REPOSITORY, Contest
from tests.bench.measures import OURS, THEIRS, table
from tests.roots import filesystem

DURABILITY = (
    "When wherry answers a pull or a load, all of the image is on the disk: blobs and the record by fsync, the files "
    "of layers by syncfs. dockerd syncs its metadata alone (seen by strace); the files of its layers reach the disk "
    "when the kernel gets to them."
)
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def report(contest: Contest, syncs: Mapping[str, Mapping[str, int]]) -> str:
    """The machine and the versions, the table of measures and that of syncs, and what those mean."""
    versions = {each.name: each.client.call("GET", "version") for each in contest.contenders}
    return "\n\n".join(
        [surroundings(versions, contest), table(contest.results), fsyncs.table(syncs), DURABILITY]
    )


def surroundings(versions: Mapping[str, Mapping[str, Any]], contest: Contest) -> str:
    """Who contended on what. `versions`: the answers to GET /version."""
    components = {
        (name, component["Name"]): component["Version"]
        for name, version in versions.items()
        for component in version["Components"]
    }
    names = [f"wherry {components[OURS, 'wherry']} on Python {platform.python_version()}"]
    if THEIRS in versions:
        names.append(
            f"dockerd {versions[THEIRS]['Version']} with containerd {components[THEIRS, 'containerd']}"
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    cgroup = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    return (
        f"{', '.join(names)}, both on runc {components[OURS, 'runc']}. {_machine()} with "
        f"{os.cpu_count()} CPUs ({_processor()}) and {memory:.0f} GiB, Linux {platform.release().partition('-')[0]}, "
        f"cgroup {cgroup}, data on {filesystem(contest.scratch)}; load average before: {contest.load:.1f}."
    )


def _machine() -> str:
    is_virtual = " hypervisor " in Path("/proc/cpuinfo").read_text()
    return "A virtual machine" if is_virtual else "A machine"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def written_in(readme: str, text: str) -> str:
    """The README with the text between the markers. Errors: ValueError when they are not there."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} … {END}")
    return f"{head}{BEGIN}\n{text}\n{END}{tail}"
