"""Readers of what a daemon can leave behind, one per kind; each gives a key that stays while the thing stays,
and a line that names it.

Sources: procfs, mountinfo, `ip`, `nft`, cgroupfs, the daemon's own file descriptors, and its two roots.
Everything is limited to one daemon, since others may run beside it.
"""

import json
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CONTAINER_CGROUP = re.compile(r"(?:docker-)?([0-9a-f]{64})(?:\.scope)?")
FILE_DEPTH = 3
CGROUP_DEPTH = 4
LISTEN = "0A"

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


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _links(directory: str) -> list[str]:
    """Return the targets of all links in a directory of procfs; what vanishes meanwhile is left out."""
    targets = []
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    for name in names:
        try:
            targets.append(os.readlink(f"{directory}/{name}"))
        except OSError:
            continue
    return targets


def _stat(pid: int) -> tuple[int, str]:
    """Return a process's parent and start time (ticks since boot), (0, "") when it is gone."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[1]), fields[19]) if fields else (0, "")


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _runs_in(scope: Scope, pid: int) -> bool:
    """Tell whether a process has anything of the roots: command line, a descriptor, its own root."""
    if any(root in _read(f"/proc/{pid}/cmdline") for root in scope.roots):
        return True
    if any(scope.within(target) for target in _links(f"/proc/{pid}/fd")):
        return True
    for line in _read(f"/proc/{pid}/mountinfo").splitlines():
        if line.split()[4] == "/":
            return f"upperdir={scope.data_root}/" in line
    return False


def _zygote(pid: int) -> bool:
    return "zygote" in _read(f"/proc/{pid}/cmdline") + _read(f"/proc/{pid}/comm")


def _own_processes(scope: Scope) -> Iterator[int]:
    """Yield the daemon's descendants and whoever works in its roots, but for the daemon and its zygote."""
    parents = {pid: _stat(pid)[0] for pid in _pids()}
    for pid in parents:
        if pid in (scope.pid, os.getpid()):
            continue
        above, child = parents[pid], scope.pid and parents[pid] == scope.pid
        while scope.pid and above and above != scope.pid:
            above = parents.get(above, 0)
        if child and _zygote(pid):
            continue
        if (scope.pid and above == scope.pid) or _runs_in(scope, pid):
            yield pid


def processes(scope: Scope) -> Things:
    """Shims, runc, container processes and helpers, zombies too."""
    found = {}
    for pid in _own_processes(scope):
        command = (
            _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip() or _read(f"/proc/{pid}/comm").strip()
        )
        if started := _stat(pid)[1]:
            found[f"{pid}@{started}"] = f"process {pid}: {command[:100]}"
    return found


def mounts(scope: Scope) -> Things:
    """Mounts in the roots, and overlays that write to them, as the daemon and as this process see them."""
    found = {}
    for pid in {"self", str(scope.pid or "self")}:
        for line in _read(f"/proc/{pid}/mountinfo").splitlines():
            point = line.split()[4]
            if scope.within(point) or f"upperdir={scope.data_root}/" in line:
                found[point] = f"mount on {point}: {line.partition(' - ')[2][:100]}"
    return found


def namespaces(scope: Scope) -> Things:
    """Network namespaces that the daemon's threads, its descriptors or its processes keep alive."""
    host = os.readlink("/proc/self/ns/net")
    places = {f"descriptor of the daemon {scope.pid}": _links(f"/proc/{scope.pid}/fd") if scope.pid else []}
    for task in os.listdir(f"/proc/{scope.pid}/task") if scope.pid else []:
        places[f"thread {task} of the daemon"] = _links(f"/proc/{scope.pid}/task/{task}/ns")
    for pid in _own_processes(scope):
        places[f"process {pid}"] = _links(f"/proc/{pid}/ns") + _links(f"/proc/{pid}/fd")
    found = {}
    for place, targets in places.items():
        for target in targets:
            if target.startswith("net:[") and target != host:
                found[target] = f"network namespace {target}, kept by {place}"
    for line in _read("/proc/self/mountinfo").splitlines():
        if " nsfs " in line and any(mark in line for mark in (*scope.roots, *scope.marks)):
            found[line.split()[4]] = f"network namespace link {line.split()[4]}"
    return found


def links(scope: Scope) -> Things:
    """The daemon's bridges and what else carries its mark, and what hangs on those: ports, macvlans, VLANs."""
    text = subprocess.run(
        ["ip", "-j", "-d", "link", "show"], capture_output=True, text=True, check=True
    ).stdout
    every = json.loads(text)
    own = {link["ifname"] for link in every if _is_marked(link, scope)}
    return {
        f"{link['ifindex']}": f"link {link['ifname']} (master {link.get('master', '-')})"
        for link in every
        if own & {link["ifname"], link.get("master"), link.get("link")}
    }


def _is_marked(link: Any, scope: Scope) -> bool:
    names = " ".join([link["ifname"], link.get("ifalias", ""), *link.get("altnames", [])])
    return link["ifname"] == scope.bridge or any(mark in names for mark in scope.marks)


def nft(scope: Scope) -> Things:
    """Tables that name the daemon's bridge or mark, with all their chains, rules and elements."""
    text = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    tables: dict[tuple[str, str], list[tuple[str, Any]]] = {}
    for item in json.loads(text)["nftables"]:
        ((kind, body),) = item.items()
        if kind != "metainfo":
            name = body["name"] if kind == "table" else body["table"]
            tables.setdefault((body["family"], name), []).append((kind, body))
    found: Things = {}
    for (family, name), items in tables.items():
        if any(mark in json.dumps(items) for mark in (f'"{scope.bridge}"', *scope.marks)):
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
    pending = [
        (entry.path, 1) for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir(follow_symlinks=False)
    ]
    while pending:
        path, depth = pending.pop()
        if match := CONTAINER_CGROUP.fullmatch(os.path.basename(path)):
            yield path, match[1]
        elif depth <= CGROUP_DEPTH:
            try:
                pending += [(entry.path, depth + 1) for entry in os.scandir(path) if entry.is_dir()]
            except OSError:
                continue


def _members(cgroup: str) -> set[int]:
    pids: set[int] = set()
    for directory, _, _ in os.walk(cgroup):
        pids |= {int(pid) for pid in _read(f"{directory}/cgroup.procs").split()}
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


def cgroups(scope: Scope) -> Things:
    """Cgroups that hold processes of the daemon, or are empty and of one of its containers.

    Whose an empty one is cannot always be told; then it counts.
    """
    own, known = set(_own_processes(scope)), _containers(scope)
    found = {}
    for path, container in _container_cgroups():
        members = _members(path)
        if members & own or (not members and (known is None or container in known)):
            found[path] = f"cgroup {path}" + ("" if members else " (empty)")
    return found


def ports(scope: Scope) -> Things:
    """TCP sockets on which the daemon listens, and its UDP sockets, in the host's network namespace."""
    inodes = {target[8:-1] for target in _links(f"/proc/{scope.pid}/fd") if target.startswith("socket:[")}
    found = {}
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in _read(f"/proc/{scope.pid}/net/{protocol}").splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (protocol.startswith("udp") or fields[3] == LISTEN):
                address, _, port = fields[1].partition(":")
                found[f"{protocol} {fields[1]}"] = f"{protocol} port {int(port, 16)} on {address}"
    return found


def descriptors(scope: Scope) -> Things:
    """The daemon's open files, counted by what they are."""
    kinds: Counter[str] = Counter()
    for target in _links(f"/proc/{scope.pid}/fd") if scope.pid else []:
        kinds[re.sub(r"^(socket|pipe|net):\[\d+\]$", r"\1", target)] += 1
    return {f"{kind} #{n}": f"descriptor of the daemon: {kind}" for kind in kinds for n in range(kinds[kind])}


def files(scope: Scope) -> Things:
    """All files under the exec root, and the data root's upper levels but for the database's own files."""
    found = {}
    for root, depth in ((scope.exec_root, 99), (scope.data_root, FILE_DEPTH)):
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
