"""ADD of URLs by the classic API."""

import pytest

from tests.daemon import Wherryd
from tests.integration.build.contexts.serving import Server, server
from tests.integration.images.archives import tar

pytestmark = pytest.mark.root
__all__ = ["server"]


def test_what_is_known_is_not_sent_again(wherryd: Wherryd, server: Server) -> None:
    context = tar({"Dockerfile": f"FROM busybox\nADD {server.url}/f /\nRUN cat /f\n".encode()})
    assert b"content" in wherryd.call("POST", "/build", context).body
    assert wherryd.call("POST", "/build", context).body.count(b"Using cache") == 2
    assert [method for method, _ in server.since()] == ["GET", "HEAD"]
    (kept,) = [
        each
        for each in wherryd.get("/v1.45/system/df").json["BuildCache"]
        if each["Description"].startswith("http url")
    ]
    assert (kept["Type"], kept["Size"], kept["UsageCount"]) == ("regular", 7, 2)
