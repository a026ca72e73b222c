"""Every endpoint of swarms and plugins, asked in every version."""

import pytest

from tests.peer.comparison import require
from tests.peer.ledger import VERSIONS
from tests.peer.lines import Line, blocks, found, name
from tests.peer.peer import Both

pytestmark = pytest.mark.root

OUTSIDE = """
GET /swarm
GET /swarm?x=1
GET /swarm?filters={
GET /swarm?version=x
GET /swarm?x=1&x=2

POST /swarm/leave
POST /swarm/leave?force=1
POST /swarm/leave {
POST /swarm/leave?force=x
POST /swarm/leave {"x":1}

POST /swarm/update {}
POST /swarm/update?version=1 {}
POST /swarm/update?version=x {}
POST /swarm/update?version=1 {
POST /swarm/update?version=1&rotateWorkerToken=x {}
POST /swarm/update

GET /swarm/unlockkey
GET /swarm/unlockkey?x=1
GET /swarm/unlockkey?filters={
GET /swarm/unlockkey?version=x
GET /swarm/unlockkey?x=1&x=2

POST /swarm/unlock {}
POST /swarm/unlock {"UnlockKey":"x"}
POST /swarm/unlock {"UnlockKey":5}
POST /swarm/unlock {
POST /swarm/unlock

GET /nodes
GET /nodes?filters={"name":["x"]}
GET /nodes?filters={"nope":["x"]}
GET /nodes?filters={
GET /nodes?filters={"role":["x"]}

GET /nodes/x
GET /nodes/%20
GET /nodes/y
GET /nodes/x/more
GET /nodes/x?y=1
GET /nodes/x?filters={

DELETE /nodes/x
DELETE /nodes/x?force=1
DELETE /nodes/x?force=x
DELETE /nodes/%20
DELETE /nodes/y
DELETE /nodes/x/more

POST /nodes/x/update {}
POST /nodes/x/update?version=1 {}
POST /nodes/x/update?version=x {}
POST /nodes/x/update?version=1 {
POST /nodes/x/update?version=1 {"Role":5}

GET /services
GET /services?filters={"name":["x"]}
GET /services?filters={"nope":["x"]}
GET /services?filters={
GET /services?status=1
GET /services?status=x

POST /services/create {}
POST /services/create {
POST /services/create {"Name":"x"}
POST /services/create {"Name":5}
POST /services/create

GET /services/x
GET /services/%20
GET /services/x?insertDefaults=1
GET /services/x?insertDefaults=x
GET /services/y
GET /services/x/more

GET /services/x/logs?stdout=1
GET /services/x/logs
GET /services/x/logs?stderr=1&tail=x
GET /services/x/logs?stdout=1&since=bad
GET /services/%20/logs?stdout=1

DELETE /services/x
DELETE /services/%20
DELETE /services/x?force=1
DELETE /services/y
DELETE /services/x/more
DELETE /services/x?y=2

POST /services/x/update {}
POST /services/x/update?version=1 {}
POST /services/x/update?version=x {}
POST /services/x/update?version=1 {
POST /services/x/update?version=1&rollback=x {}

GET /tasks
GET /tasks?filters={"name":["x"]}
GET /tasks?filters={"nope":["x"]}
GET /tasks?filters={
GET /tasks?x=1

GET /tasks/x
GET /tasks/%20
GET /tasks/x?y=1
GET /tasks/y
GET /tasks/x/more
GET /tasks/x?filters={

GET /tasks/x/logs?stdout=1
GET /tasks/x/logs
GET /tasks/x/logs?stderr=1
GET /tasks/x/logs?stdout=1&since=bad
GET /tasks/%20/logs?stdout=1

GET /secrets
GET /secrets?filters={"name":["x"]}
GET /secrets?filters={"nope":["x"]}
GET /secrets?filters={
GET /secrets?x=1

POST /secrets/create {}
POST /secrets/create {"Name":"x"}
POST /secrets/create {"Name":5}
POST /secrets/create {
POST /secrets/create

GET /secrets/x
GET /secrets/%20
GET /secrets/y
GET /secrets/x/more
GET /secrets/x?y=1
GET /secrets/x?filters={

DELETE /secrets/x
DELETE /secrets/%20
DELETE /secrets/y
DELETE /secrets/x/more
DELETE /secrets/x?force=1
DELETE /secrets/x?y=1

POST /secrets/x/update {}
POST /secrets/x/update?version=1 {}
POST /secrets/x/update?version=x {}
POST /secrets/x/update?version=1 {
POST /secrets/x/update?version=1 {"Name":5}

GET /configs
GET /configs?filters={"name":["x"]}
GET /configs?filters={"nope":["x"]}
GET /configs?filters={
GET /configs?x=1

POST /configs/create {}
POST /configs/create {"Name":"x"}
POST /configs/create {"Name":5}
POST /configs/create {
POST /configs/create

GET /configs/x
GET /configs/%20
GET /configs/y
GET /configs/x/more
GET /configs/x?y=1
GET /configs/x?filters={

DELETE /configs/x
DELETE /configs/%20
DELETE /configs/y
DELETE /configs/x/more
DELETE /configs/x?force=1
DELETE /configs/x?y=1

POST /configs/x/update {}
POST /configs/x/update?version=1 {}
POST /configs/x/update?version=x {}
POST /configs/x/update?version=1 {
POST /configs/x/update?version=1 {"Name":5}

GET /plugins
GET /plugins?filters={"enabled":["true"]}
GET /plugins?filters={"enabled":["x"]}
GET /plugins?filters={"capability":["volumedriver"]}
GET /plugins?filters={"nope":["x"]}
GET /plugins?filters={

GET /plugins/x/json
GET /plugins/%20/json
GET /plugins/UPPER/json
GET /plugins/a/b/json
GET /plugins/sha256:12/json

DELETE /plugins/x
DELETE /plugins/x?force=1
DELETE /plugins/%20
DELETE /plugins/UPPER
DELETE /plugins/x?force=x

POST /plugins/x/enable?timeout=1
POST /plugins/x/enable
POST /plugins/x/enable?timeout=x
POST /plugins/%20/enable?timeout=1
POST /plugins/UPPER/enable?timeout=1

POST /plugins/x/disable
POST /plugins/x/disable?force=1
POST /plugins/%20/disable
POST /plugins/UPPER/disable
POST /plugins/x/disable?force=x

POST /plugins/x/push
POST /plugins/%20/push
POST /plugins/UPPER/push
POST /plugins/a/b/push
POST /plugins/x/push?y=1

POST /plugins/x/set ["A=b"]
POST /plugins/x/set []
POST /plugins/x/set {
POST /plugins/x/set {}
POST /plugins/%20/set ["A=b"]
"""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("block", blocks(OUTSIDE), ids=name)
def test_outside(both: Both, block: list[Line], version: str) -> None:
    require(list(found(both, block, version)))
