"""A volume plugin of Docker's protocol, small and real: a directory a volume, which is there for whom it is mounted.

    python plugin.py FOLDER SOCKETS NAME [NAME…]

serves as tests/network/plugin.py does. The volumes are FOLDER/volumes/NAME; who has one mounted is in FOLDER/mounted
by lines "NAME ID", so that a plugin that was started again knows it. One that is told `scope=global` by answers.json
says so; `status` of a volume are its options.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.network.plugin import Body, Plugin, serve


class Volumes:
    """VolumeDriver.*: strict about who mounts and unmounts."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "volumes"
        self.record = folder / "mounted"
        self.root.mkdir(exist_ok=True)

    def capabilities(self, _: Body) -> Body:
        return {"Capabilities": {"Scope": "local"}}

    def create(self, body: Body) -> Body:
        (self.root / body["Name"]).mkdir(exist_ok=True)
        (self.root / f".{body['Name']}.json").write_text(json.dumps(body.get("Opts") or {}))
        return {}

    def remove(self, body: Body) -> Body:
        if self.users(body["Name"]):
            return {"Err": f"{body['Name']} is mounted"}
        shutil.rmtree(self.root / body["Name"])
        (self.root / f".{body['Name']}.json").unlink()
        return {}

    def mount(self, body: Body) -> Body:
        path = self.root / body["Name"]
        if not path.is_dir():
            return {"Err": "no such volume"}
        with self.record.open("a") as record:
            record.write(f"{body['Name']} {body['ID']}\n")
        return {"Mountpoint": str(path)}

    def unmount(self, body: Body) -> Body:
        lines = self.lines()
        line = f"{body['Name']} {body['ID']}"
        if line not in lines:
            return {"Err": f"{body['Name']} is not mounted for {body['ID']}"}
        lines.remove(line)
        self.record.write_text("".join(f"{each}\n" for each in lines))
        return {}

    def path(self, body: Body) -> Body:
        return {"Mountpoint": self.mountpoint(body["Name"])}

    def get(self, body: Body) -> Body:
        if not (self.root / body["Name"]).is_dir():
            return {"Err": "no such volume"}
        return {"Volume": {**self.shown(body["Name"]), "Status": self.status(body["Name"])}}

    def shown(self, name: str) -> dict[str, Any]:
        return {"Name": name, "Mountpoint": self.mountpoint(name), "CreatedAt": "2020-02-02T02:02:02Z"}

    def mountpoint(self, name: str) -> str:
        return str(self.root / name) if self.users(name) else ""

    def status(self, name: str) -> Body:
        found: Body = json.loads((self.root / f".{name}.json").read_text())
        return found

    def lines(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []

    def users(self, name: str) -> list[str]:
        return [line for line in self.lines() if line.split()[0] == name]

    def list(self, _: Body) -> Body:
        names = sorted(each.name for each in self.root.iterdir() if each.is_dir())
        return {"Volumes": [self.shown(name) for name in names]}


if __name__ == "__main__":
    plugin = Plugin(Path(sys.argv[1]))
    plugin.subsystems = {"VolumeDriver": Volumes(plugin.folder)}
    sockets = [serve(Path(sys.argv[2]), each, plugin) for each in sys.argv[3:]]
    print("ready", flush=True)
    sys.stdin.read()
