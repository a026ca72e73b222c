"""Accepted differences of images."""

from tests.peer.accepted.line import Accepted

CLIENTS_FAULT = "a client's fault is a 400"
NEWER = "as later engines say it"
OURS = "our snapshotter's name, and no paths of its own to show"
OWN = "each side has made its own"
NO_ARCHIVE = "tells what is wrong with the archive, not which file of the daemon's is missing"

LIST = "GET /images/json"
INSPECT = "GET /images/{name}/json"
IMPORT = "POST /images/create"
LOAD = "POST /images/load"
GET = "GET /images/*get"
PUSH = "POST /images/{name}/push"
PRUNE = "POST /images/prune"
SEARCH = "GET /images/search"

TOKEN_SERVERS = (
    ("with=404.", "a registry's text is told without the end of its line"),
    *(
        (f"with=bad-{what}.", "the words of Go's decoder")
        for what in ("refusal", "json", "text", "list", "token")
    ),
    ("with=odd-realm.", "a realm that cannot be asked is not asked"),
    ("with=no-url.", "the words of Go's parser"),
    *(
        (f"with={what}-token.", "says that no token came; dockerd asks without")
        for what in ("no", "empty", "null")
    ),
)

OLD_ARCHIVES = (
    *(
        Accepted(LOAD, where, "of old archives, too, it says which images they had", "&old=")
        for where in ("body!", "headers.content-length!", "headers.transfer-encoding!")
    ),
    *(
        Accepted(INSPECT, f"body.Config{what}!", NEWER, "?old=")
        for what in ("", ".MacAddress", ".StopTimeout")
    ),
)
CUT = {
    "gzip-cut": "an archive that ends too early is refused",
    "gzip-trailing": "an archive with something behind it is refused",
}
NAMES = dict.fromkeys(("bad-name", "bad-tag", "no-tag", "digest-name"), "refused is the image, too")
BROKEN = (
    (LOAD, CUT),
    (IMPORT, CUT),
    (INSPECT, CUT | NAMES),
    ("DELETE /images/{name}", CUT),
)

LINES = (
    *OLD_ARCHIVES,
    Accepted(LIST, "body.*.Created", OWN),
    Accepted(LIST, "*", "later engines have this filter", "label!"),
    Accepted(LIST, "body*!", "later engines look at whole names, too", "%2A/%2A/%2A:1"),
    Accepted(LIST, "body*!", "later engines look at whole names, too", "docker.io/library"),
    Accepted(LIST, "body*!", "later engines take no pattern for no filter", "%22reference%22:%5B%5D"),
    Accepted(LIST, "status", CLIENTS_FAULT, "until"),
    Accepted(LIST, "body.message", "tells which filter is wrong", "until"),
    Accepted(LIST, "status", CLIENTS_FAULT, "reference"),
    Accepted(INSPECT, "body.GraphDriver.Data!", OURS),
    Accepted(INSPECT, "body.GraphDriver.Name", OURS),
    Accepted("GET /images/{name}/history", "body.*.Created", OWN),
    Accepted("POST /containers/create", "body.message", NEWER, "name=peer-machine&platform="),
    Accepted(GET, "status", CLIENTS_FAULT, "/UPPER/get"),
    Accepted(GET, "status", CLIENTS_FAULT, "names="),
    Accepted(GET, "body.message", "dockerd tells of a file of its own that it cannot open", "sha256:aaa"),
    Accepted("POST /images/{name}/tag", "*", "dockerd does nothing, and says that it is done", "/tag"),
    Accepted(PRUNE, "status", CLIENTS_FAULT, "until"),
    Accepted("POST /containers/prune", "body.message", NEWER, "%22until%22%3A%20%5B%22%22%5D"),
    Accepted(LOAD, "body.error*", NO_ARCHIVE),
    Accepted(LOAD, "body.*.stream", "dockerd tells again what it has told", "kind=several."),
    Accepted(LOAD, "body!", "where there is nothing to tell there is no message", "kind=no-entries."),
    Accepted(PUSH, "*", "later engines take whoever names nobody for anybody", "/unasked/push"),
    Accepted(IMPORT, "status", CLIENTS_FAULT, "=gzip-twice."),
    Accepted(IMPORT, "body.message", NO_ARCHIVE, "=gzip-twice."),
    Accepted(IMPORT, "body.message", NEWER, "changes=EXPOSE"),
    Accepted(INSPECT, "body.DockerVersion", "later engines do not say it of imports", "peer-body:1/json"),
    *(
        Accepted(endpoint, "*", reason, f"={kind}.")
        for endpoint, kinds in BROKEN
        for kind, reason in kinds.items()
    ),
    *(
        Accepted(IMPORT, "status", CLIENTS_FAULT, f"fromSrc={source}")
        for source in ("ftp", "file", "%2Fetc", "http%3A%2F%2F&", "&")
    ),
    Accepted(IMPORT, "body.message", "tells where it was sent from", "%2Faway"),
    Accepted(INSPECT, "body.DockerVersion", "later engines do not say it of imports", "peer-url:1/json"),
    Accepted(IMPORT, "status", CLIENTS_FAULT, "this is no archive"),
    Accepted(IMPORT, "body.message", NO_ARCHIVE, "this is no archive"),
    *(
        Accepted(endpoint, "body.message", reason, asked)
        for endpoint in (IMPORT, "GET /distribution/{name}/json", "POST /auth")
        for asked, reason in TOKEN_SERVERS
    ),
    *(
        Accepted(
            "GET /distribution/{name}/json", "status", "dockerd asks without a token", f"with={what}-token."
        )
        for what in ("no", "empty", "null", "bad")
    ),
    Accepted("POST /auth", "status", "as where a registry says it in another form", "with=401."),
    Accepted(SEARCH, "*", "dockerd does nothing, and says that it is done", "limit=-1"),
    Accepted(SEARCH, "body.message", "the words of Go's decoder", "%2Fwrong"),
    Accepted(SEARCH, "body.message", "the words of Go's decoder", "%2Ftext"),
)
