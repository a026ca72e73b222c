"""Readers of what a daemon can leave behind, one per kind; each gives a key that stays while the thing stays,
and a line that names it.

Sources: procfs, mountinfo, netlink, libnftables, cgroupfs, the daemon's own file descriptors, and its two roots.
Everything is limited to one daemon, since others may run beside it.
Thousands of tests look twice each: nothing is read twice in one look, and no program is started.
"""

import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from network.nftables.apply import Nft
from tests.kernel_tables import Link, bound_sockets, nft_generation
from tests.kernel_tables import links as every_link
from tests.processes import Process, descendants, read, target, targets
from tests.processes import processes as every_process

CONTAINER_CGROUP = re.compile(r"(?:docker-)?([0-9a-f]{64})(?:\.scope)?")
FILE_DEPTH = 3
CGROUP_DEPTH = 4

Things = dict[str, str]


@dataclass(frozen=True)
class Scope:
    """Which daemon's things to read.

    pid is the daemon's, 0 for none; marks are words in the names of its links, tables and namespaces.
    """

    data_root: Path
    exec_root: Path
    bridge: str
    pid: int = 0
    marks: tuple[str, ...] = ()

    @cached_property
    def roots(self) -> tuple[str, str]:
        """Both roots as text."""
        return (str(self.data_root), str(self.exec_root))

    def within(self, path: str) -> bool:
        """Tell whether a path lies in one of the roots."""
        return any(path == root or path.startswith(root + "/") for root in self.roots)


@dataclass(frozen=True)
class Sight:
    """One look at the world: what several readers need is read once."""

    scope: Scope

    @cached_property
    def own(self) -> list[Process]:
        """The daemon's descendants and whoever works in its roots, but for the daemon and its zygote."""
        daemon, every = self.scope.pid, every_process()
        below = set(descendants(daemon, every)) if daemon else set()
        return [
            process
            for pid, process in every.items()
            if pid not in (daemon, os.getpid())
            and not (daemon and process.parent == daemon and _zygote(process))
            and (pid in below or self._runs_in(process))
        ]

    def _runs_in(self, process: Process) -> bool:
        """Tell whether a process has anything of the roots: command line, a descriptor, its own root."""
        if any(root in process.command for root in self.scope.roots):
            return True
        if any(self.scope.within(file) for file in process.files):
            return True
        if process.mount_namespace in ("", self._mount_namespace):
            return False
        return f"upperdir={self.scope.data_root}/" in process.root_mount

    @cached_property
    def _mount_namespace(self) -> str:
        return target("/proc/self/ns/mnt")

    @cached_property
    def daemon_files(self) -> list[str]:
        """What the daemon's descriptors are."""
        return targets(f"/proc/{self.scope.pid}/fd") if self.scope.pid else []


def _zygote(process: Process) -> bool:
    return "zygote" in process.command + process.comm


def processes(sight: Sight) -> Things:
    """Shims, runc, container processes and helpers, zombies too."""
    return {
        f"{process.pid}@{process.started}": f"process {process.pid}: {process.command[:100]}"
        for process in sight.own
    }


def mounts(sight: Sight) -> Things:
    """Mounts in the roots, and overlays that write to them, as the daemon and as this process see them."""
    found, scope = {}, sight.scope
    for pid in {"self", str(scope.pid or "self")}:
        for line in read(f"/proc/{pid}/mountinfo").splitlines():
            point = line.split()[4]
            if scope.within(point) or f"upperdir={scope.data_root}/" in line:
                found[point] = f"mount on {point}: {line.partition(' - ')[2][:100]}"
    return found


def namespaces(sight: Sight) -> Things:
    """Network namespaces that the daemon's threads, its descriptors or its processes keep alive."""
    scope, host = sight.scope, target("/proc/self/ns/net")
    places = {f"descriptor of the daemon {scope.pid}": sight.daemon_files}
    for task in os.listdir(f"/proc/{scope.pid}/task") if scope.pid else []:
        places[f"thread {task} of the daemon"] = [target(f"/proc/{scope.pid}/task/{task}/ns/net")]
    for process in sight.own:
        places[f"process {process.pid}"] = [target(f"/proc/{process.pid}/ns/net"), *process.files]
    found = {}
    for place, kept in places.items():
        for link in kept:
            if link.startswith("net:[") and link != host:
                found[link] = f"network namespace {link}, kept by {place}"
    for line in read("/proc/self/mountinfo").splitlines():
        if " nsfs " in line and any(mark in line for mark in (*scope.roots, *scope.marks)):
            found[line.split()[4]] = f"network namespace link {line.split()[4]}"
    return found


def links(sight: Sight) -> Things:
    """The daemon's bridges and what else carries its mark, and what hangs on those: ports, macvlans, VLANs."""
    every = every_link()
    own = {link.index for link in every if _is_marked(link, sight.scope)}
    names = {link.index: link.name for link in every}
    return {
        f"{link.index}": f"link {link.name} (master {names.get(link.master, '-')})"
        for link in every
        if own & {link.index, link.master, link.lower}
    }


def _is_marked(link: Link, scope: Scope) -> bool:
    return link.name == scope.bridge or any(mark in name for mark in scope.marks for name in link.names)


def nft(sight: Sight) -> Things:
    """Tables that name the daemon's bridge or mark, with all their chains, rules and elements."""
    return _nft(sight.scope.bridge, sight.scope.marks, nft_generation())


@lru_cache(maxsize=2)
def _nft(bridge: str, marks: tuple[str, ...], generation: int) -> Things:
    """As nft(): between two transactions of nftables, whosever, there is nothing new to see."""
    tables: dict[tuple[str, str], list[tuple[str, Any]]] = {}
    for item in Nft().query("list ruleset"):
        ((kind, body),) = item.items()
        if kind != "metainfo":
            name = body["name"] if kind == "table" else body["table"]
            tables.setdefault((body["family"], name), []).append((kind, body))
    found: Things = {}
    for (family, name), items in tables.items():
        text = json.dumps(items)
        if any(mark in text for mark in (f'"{bridge}"', *marks)):
            found |= {f"{family} {name} {line}": f"nft {family} {name}: {line}" for line in _nft_lines(items)}
    return found


def _nft_lines(items: list[tuple[str, Any]]) -> Iterator[str]:
    for kind, body in items:
        if kind in ("set", "map"):
            yield f"{kind} {body['name']}"
            for element in body.get("elem", []):
                yield f"element of {body['name']}: {json.dumps(element)}"
        elif kind == "rule":
            yield f"rule in {body['chain']}: {json.dumps(body['expr'])}"
        else:
            yield f"{kind} {body['name']}"


def _container_cgroups() -> Iterator[tuple[str, str]]:
    """Yield the path and the container's ID of each."""
    pending = [(path, 1) for path in _below("/sys/fs/cgroup")]
    while pending:
        path, depth = pending.pop()
        if match := CONTAINER_CGROUP.fullmatch(os.path.basename(path)):
            yield path, match[1]
        elif depth <= CGROUP_DEPTH:
            pending += [(inside, depth + 1) for inside in _below(path)]


def _below(directory: str) -> list[str]:
    """Return the directories in one, which its links count; most cgroups have fifty files and none."""
    try:
        if os.stat(directory).st_nlink == 2:
            return []
        return [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _members(cgroup: str) -> set[int]:
    pids: set[int] = set()
    for directory, _, _ in os.walk(cgroup):
        pids |= {int(pid) for pid in read(f"{directory}/cgroup.procs").split()}
    return pids


def _containers(scope: Scope) -> set[str] | None:
    """IDs of all containers that the daemon ever made, as its stored events tell; None when they cannot be read."""
    try:
        connection = sqlite3.connect(f"file:{scope.data_root}/state.db?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT DISTINCT actor_id FROM event WHERE type = 'container'")
            return {identifier for (identifier,) in rows}
        finally:
            connection.close()
    except sqlite3.Error:
        return None


def cgroups(sight: Sight) -> Things:
    """Cgroups that hold processes of the daemon, or are empty and of one of its containers.

    Whose an empty one is cannot always be told; then it counts.
    """
    own = {process.pid for process in sight.own}
    found = {}
    for path, container in _container_cgroups():
        if members := _members(path):
            if members & own:
                found[path] = f"cgroup {path}"
        elif (known := _containers(sight.scope)) is None or container in known:
            found[path] = f"cgroup {path} (empty)"
    return found


def ports(sight: Sight) -> Things:
    """TCP sockets on which the daemon listens, and its UDP sockets, in the host's network namespace."""
    inodes = {int(file[8:-1]) for file in sight.daemon_files if file.startswith("socket:[")}
    return {
        f"{bound.protocol} {bound.address} {bound.port}": f"{bound.protocol} port {bound.port} on {bound.address}"
        for bound in bound_sockets()
        if bound.inode in inodes
    }


def descriptors(sight: Sight) -> Things:
    """The daemon's open files, counted by what they are."""
    kinds: Counter[str] = Counter()
    for file in sight.daemon_files:
        kinds[re.sub(r"^(socket|pipe|net|user):\[\d+\]$", r"\1", file)] += 1
    return {f"{kind} #{n}": f"descriptor of the daemon: {kind}" for kind in kinds for n in range(kinds[kind])}


def files(sight: Sight) -> Things:
    """All files under the exec root, and the data root's upper levels but for the database's own files."""
    found = {}
    for root, depth in ((sight.scope.exec_root, 99), (sight.scope.data_root, FILE_DEPTH)):
        for path in _walk(str(root), depth):
            if not os.path.basename(path).startswith("state.db"):
                found[path] = f"file {path}"
    return found


def _walk(directory: str, depth: int) -> Iterator[str]:
    """Yield what is under a directory on its own filesystem, some levels deep."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        yield entry.path
        try:
            inside = entry.is_dir(follow_symlinks=False) and not os.path.ismount(entry.path)
        except OSError:
            continue
        if inside and depth > 1:
            yield from _walk(entry.path, depth - 1)


READERS = (processes, mounts, namespaces, links, nft, cgroups, ports, descriptors, files)
