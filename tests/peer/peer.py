"""A real dockerd beside the daemon under test, in namespaces of its own, and one call to both.

The binaries are not installed: they are taken from WHERRY_PEER_DIR, else from .cache/peer, where `make test`
unpacks Debian's packages, else from PATH.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.daemon import PATH, Wherryd
from tests.peer.busy import asked
from tests.peer.masks import mask, mask_header
from tests.roots import make_root
from tests.unix_http import Response, call

REPOSITORY = Path(__file__).resolve().parent.parent.parent
POOL = "--default-address-pool=base=10.128.0.0/9,size=16"
"""A flag of both: other daemons of the host, which dockerd does not see, may have all networks of the usual size."""
_threads = ThreadPoolExecutor(8, "peer")


def search_path() -> str:
    """Return the PATH on which dockerd and containerd are looked for."""
    unpacked = Path(os.environ.get("WHERRY_PEER_DIR") or REPOSITORY / ".cache/peer")
    return f"{unpacked}/usr/bin:{unpacked}/usr/sbin:{PATH}"


def missing() -> str:
    """Tell why there is no peer, "" when there is one."""
    absent = [
        name for name in ("dockerd", "containerd", "runc") if not shutil.which(name, path=search_path())
    ]
    return f"not found: {', '.join(absent)} (make setup-test unpacks them)" if absent else ""


class Peer:
    """A dockerd with roots, socket, pid file, containerd and namespaces of its own."""

    def __init__(self, root: Path, flags: str = "", before: str = "") -> None:
        """`flags` of dockerd, and a shell command to run `before` it in its mount namespace."""
        self.root = root
        self.socket = root / "docker.sock"
        self.log = root / "dockerd.log"
        self._flags = flags
        self._before = f"{before} && " if before else ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of dockerd."""
        assert self._process is not None
        return self._process.pid

    def start(self, timeout: float = 60) -> None:
        """Start dockerd and wait until it answers. Errors: AssertionError with the end of its log."""
        (self.root / "daemon.json").write_text("{}\n")
        options = {
            "--data-root": self.root / "data",
            "--exec-root": self.root / "exec",
            "--host": f"unix://{self.socket}",
            "--pidfile": self.root / "dockerd.pid",
            "--config-file": self.root / "daemon.json",
            "--init-path": shutil.which("docker-init", path=search_path()) or "/usr/bin/tini-static",
        }
        arguments = " ".join(f"{k}={v}" for k, v in options.items())
        # It waits 15 seconds for each dead plugin in the usual folder whenever it makes a volume: it sees another.
        plugins = "mkdir -p /run/docker/plugins && mount -t tmpfs none /run/docker/plugins"
        command = f"ip link set lo up && {plugins} && {self._before}exec dockerd {arguments} {self._flags}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "--mount", "sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": search_path()},
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError("dockerd did not come up\n" + "\n".join(self._log_tail()))
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return call(self.socket, "GET", "/_ping", timeout=5).status == 200
        except OSError:
            return False

    def _log_tail(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-30:]

    def docker(
        self, *args: str, stdin: bytes = b"", check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the docker CLI against this daemon."""
        env = {"PATH": PATH, "HOME": str(self.root), "DOCKER_HOST": f"unix://{self.socket}"}
        return subprocess.run(
            ["docker", *args], input=stdin, capture_output=True, env=env, check=check, timeout=60
        )

    def destroy(self) -> None:
        """Remove all containers, end dockerd and its containerd, and remove the root."""
        if self._answers() and (ids := self.docker("ps", "-aq").stdout.decode().split()):
            self.docker("rm", "-f", "-v", *ids)
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def stop(self) -> None:
        """End dockerd by SIGTERM, and its containerd should it be left."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pidfile in (self.root / "exec").glob("containerd/*.pid"):
            end(int(pidfile.read_text()), "containerd")


@contextmanager
def with_busybox(busybox_tar: Path) -> Iterator[Peer]:
    """A dockerd that has the image busybox:latest."""
    dockerd = Peer(make_root("peer-"), POOL)
    try:
        dockerd.start()
        change = ("--change", 'CMD ["sh"]')
        dockerd.docker("import", *change, "-", "busybox:latest", stdin=busybox_tar.read_bytes())
        yield dockerd
    finally:
        dockerd.destroy()


def end(pid: int, name: str) -> None:
    """Kill a process by its id if it still is the program of that name, and wait until it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], 20)
    except (FileNotFoundError, ProcessLookupError):
        pass
    finally:
        os.close(pidfd)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is compared of an answer: status, headers and body with ids, times and addresses masked."""

    status: int
    headers: dict[str, str]
    body: Any

    @classmethod
    def of(cls, response: Response) -> "Answer":
        """Mask an answer; a JSON body is parsed."""
        text = mask(response.body.decode(errors="replace"))
        is_json = response.headers.get("content-type", "").startswith("application/json")
        headers = {name: mask_header(name, value) for name, value in response.headers.items()}
        return cls(response.status, headers, parse(text) if is_json and text else text)


def parse(text: str) -> Any:
    """A JSON body, or the list of values of a stream of them."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


Ids = Mapping[str, tuple[str, str]]
"""What words in a path stand for, of wherry's and of dockerd's."""


def targets(target: str, ids: Ids | None) -> tuple[str, str]:
    """A target with its words replaced: (for wherry, for dockerd)."""
    ours = theirs = target
    for word, (mine, its) in (ids or {}).items():
        ours, theirs = ours.replace(word, mine), theirs.replace(word, its)
    return ours, theirs


@dataclass(frozen=True, slots=True)
class Both:
    """The daemon under test and the peer, called alike."""

    wherryd: Wherryd
    peer: Peer

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        version: str = "1.45",
        headers: Mapping[str, str] | None = None,
        ids: Ids | None = None,
    ) -> tuple[Answer, Answer]:
        """Make one call (version "" for a bare path) to both: (wherry's answer, dockerd's), framed alike."""
        ours, theirs = self.raw(method, path, body, version, headers, ids)
        return Answer.of(_framed_as(theirs, ours)), Answer.of(theirs)

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        version: str = "1.45",
        headers: Mapping[str, str] | None = None,
        ids: Ids | None = None,
    ) -> tuple[Response, Response]:
        """The same, the answers as they came."""
        target = f"/v{version}{path}" if version else path
        ours, theirs = targets(target, ids)
        other = _threads.submit(asked, self.peer.socket, method, theirs, body, headers)
        try:
            answer = asked(self.wherryd.socket, method, ours, body, headers)
        finally:
            told = other.result()
        return answer, told


GO_BUFFER = 2048
"""What Go's server writes in one piece, and then with a length; longer bodies it sends in chunks."""


def _framed_as(theirs: Response, ours: Response) -> Response:
    """Our answer, framed as dockerd's if that is one whose length alone decided how it is framed."""
    if len(theirs.body) <= GO_BUFFER or "transfer-encoding" not in theirs.headers:
        return ours
    headers = {name: value for name, value in ours.headers.items() if name != "content-length"}
    return Response(ours.status, {**headers, "transfer-encoding": "chunked"}, ours.body)


def shape(value: Any) -> Any:
    """Replace each scalar by the name of its type; of a list, the shape of its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__
