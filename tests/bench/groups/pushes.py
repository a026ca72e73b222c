"""Push of an image of 85 MB in 5,000 files, which was loaded, to a registry of the machine's own.

Each turn has an image of its own: of one whose layers were pushed before, a daemon knows where the registry has them.
"""

import os
import shutil
import time

from tests.bench import archive
from tests.bench.client import Client, Connection, expect
from tests.bench.contest import Contest
from tests.bench.groups.images import load, removed
from tests.bench.registry import pushed, registry


def measure(contest: Contest) -> None:
    """Load it, push it, look at what the registry has, remove it."""
    path = contest.scratch / "image.tar"
    root = contest.scratch / "registry"
    with registry(root, contest.contenders) as target:
        for turn in contest.turns(0.15, warm_up=False):
            content = archive.make(seed=turn.number + 1)
            content.write(path)
            for contender in turn:
                load(contender.client, path)
                os.sync()
                repository = f"bench/{contender.name}-{turn.number}"
                turn.note("push", contender, _push(contender.client, f"{target.netloc}/{repository}"))
                expect(
                    pushed(target, repository) == (content.image, content.diff_ids),
                    "another image was pushed",
                )
                removed(contender.client, archive.NAME)
    path.unlink()
    shutil.rmtree(root)


def _push(client: Client, name: str) -> float:
    """Name the image so and push it: the seconds of the push. Afterwards it has its own name alone."""
    client.raw("POST", f"images/{archive.NAME}/tag?repo={name}&tag=latest")
    with Connection(client.path) as connection:
        began = time.perf_counter()
        connection.send("POST", f"images/{name}/push?tag=latest", headers={"X-Registry-Auth": "e30="})
        status, headers = connection.head()
        said = connection.body(headers)
        took = time.perf_counter() - began
    expect(status == 200 and b"error" not in said, f"a push says {status} {said!r}")
    client.raw("DELETE", f"images/{name}:latest")
    return took
