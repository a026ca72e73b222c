import grp
import os
import socket
import stat
from pathlib import Path

import pytest

import errdefs
from api import listeners, pidfile, systemd
from api.listeners import Listener, close_all, open_all
from tests.ports import free_port


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sub" / "api.sock")


def test_a_unix_socket_is_for_root_and_the_group(path: str) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    (listener,) = open_all([f"unix://{path}"], group)
    status = os.stat(path)
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_gid == os.getgid()
    assert not listener.socket.get_inheritable()
    close_all([listener])
    assert not os.path.exists(path)


def test_a_missing_group_leaves_it_to_root(path: str, caplog: pytest.LogCaptureFixture) -> None:
    close_all(open_all([f"unix://{path}"], "no-such-group-here"))
    assert "no-such-group-here" in caplog.text


def test_a_socket_that_is_answered_is_refused_and_stays(path: str) -> None:
    opened = open_all([f"unix://{path}"], "")
    with pytest.raises(errdefs.Conflict, match="another daemon answers there"):
        open_all([f"unix://{path}"], "")
    assert os.path.exists(path)
    close_all(opened)


def test_a_stale_socket_is_replaced(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    close_all(open_all([f"unix://{path}"], ""))


def test_what_is_no_socket_is_refused_and_stays(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).write_text("mine")
    with pytest.raises(errdefs.SystemFailure, match="no socket"):
        open_all([f"unix://{path}"], "")
    assert Path(path).read_text() == "mine"


def test_a_socket_of_another_daemon_is_not_removed(path: str) -> None:
    opened = open_all([f"unix://{path}"], "")
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        close_all(opened)
        assert os.path.exists(path)


def test_tcp_warns_loudly(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    (listener,) = open_all([f"tcp://127.0.0.1:{port}"], "")
    assert listener.address == f"tcp://127.0.0.1:{port}"
    assert "IS NOT PROTECTED" in caplog.text
    with pytest.raises(errdefs.SystemFailure, match="cannot listen"):
        open_all([f"tcp://127.0.0.1:{port}"], "")
    close_all([listener])


def test_what_was_opened_is_closed_when_another_fails(path: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="invalid host"):
        open_all([f"unix://{path}", "npipe:////x"], "")
    assert not os.path.exists(path)


@pytest.mark.parametrize("host", ["unix://relative", "tcp://127.0.0.1:99999", "", "nonsense"])
def test_bad_hosts(host: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        open_all([host], "")


def test_sockets_of_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = socket.socket(socket.AF_UNIX)
    given.bind(str(tmp_path / "s"))
    given.listen()
    monkeypatch.setattr(systemd, "_FIRST_FD", given.fileno())
    monkeypatch.setattr(systemd, "_handed_over", {})
    for name, value in (("LISTEN_PID", str(os.getpid())), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "api")):
        monkeypatch.setenv(name, value)
    given.set_inheritable(True)
    systemd.take_sockets()
    assert not {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} & os.environ.keys()
    assert systemd.listen_sockets() == {given.fileno(): "api"}
    with pytest.raises(errdefs.SystemFailure, match="no sockets found"):
        open_all(["fd://other"], "")
    (listener,) = open_all(["fd://"], "")
    assert isinstance(listener, Listener)
    assert not listener.socket.get_inheritable()
    given.detach()
    listeners.close_all([listener])
    assert (tmp_path / "s").exists()


def test_sockets_of_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_handed_over", {})
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    systemd.take_sockets()
    assert systemd.listen_sockets() == {}


def test_notifications(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = systemd.Notifier.from_environment()
        assert "NOTIFY_SOCKET" not in os.environ
        notifier.ready()
        assert manager.recv(4096).startswith(b"READY=1\n")
        notifier.reloading()
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        notifier.stopping("bye")
        assert manager.recv(4096) == b"STOPPING=1\nSTATUS=bye"
    notifier.ready()
    systemd.Notifier("").ready()


def test_the_pidfile_belongs_to_one_daemon(tmp_path: Path) -> None:
    path = tmp_path / "run" / "wherry.pid"
    assert pidfile.owner(path) is None
    with pidfile.holding(path):
        assert path.read_text() == str(os.getpid())
        assert pidfile.owner(path) == os.getpid()
        with pytest.raises(errdefs.Conflict, match=f"process {os.getpid()}"), pidfile.holding(path):
            pass
        assert path.exists()
    assert not path.exists()
    path.write_text("1")
    assert pidfile.owner(path) is None
    with pidfile.holding(path):
        assert path.read_text() == str(os.getpid())
