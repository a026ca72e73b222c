"""What strangers' documents may ask for."""

import json
import random

import pytest

import errdefs
from engine.images import config, documents, layouts

REAL = {
    "schemaVersion": 2,
    "mediaType": layouts.OCI_MANIFEST,
    "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": "sha256:" + "a" * 64,
        "size": 7,
    },
    "layers": [{"mediaType": "x", "digest": "sha256:" + "b" * 64, "size": 5, "annotations": {"k": "v"}}],
}


@pytest.mark.parametrize("value", ["{}", "[]", "0", '"a"', '{"a":0}'])
def test_a_document_of_countless_values_is_refused(value: str) -> None:
    raw = "[" + ",".join([value] * documents.MAX_VALUES) + ",1]"
    with pytest.raises(errdefs.InvalidArgument, match="more than 100000 values"):
        documents.decode(raw.encode(), "image manifest")


def test_what_strings_hold_is_no_value() -> None:
    text = '[{,"\\' * 300_000
    assert documents.decode(json.dumps([text]).encode(), "image manifest") == [text]
    assert len(documents.decode(b"[" + b"1," * 90_000 + b"1]", "image manifest")) == 90_001


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"{" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a":' + b"9" * 100_000 + b"}",
        b'{"a":1e999}',
        b"\xef\xbb\xbf{}",
        b"{}{}",
        b"",
        b"nul",
    ],
)
def test_what_readers_could_disagree_on_is_refused(raw: bytes) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="invalid image manifest"):
        documents.decode(raw, "image manifest")


def test_damaged_documents_are_read_or_refused() -> None:
    """Seeded; whatever a byte becomes, nothing but InvalidArgument comes out."""
    dice = random.Random(7)
    config_text = json.dumps({"rootfs": {"diff_ids": ["sha256:" + "c" * 64]}, "config": {"Env": ["A=b"]}})
    parts = (
        b'"',
        b"{",
        b"[",
        b"]",
        b"}",
        b",",
        b"null",
        b"1e400",
        b"-1",
        b"\\ud800",
        b"\xff",
        b'"size":',
        b"[[",
    )
    for raw in (json.dumps(REAL).encode(), config_text.encode()):
        for _ in range(3000):
            damaged = bytearray(raw)
            for _ in range(dice.randrange(1, 4)):
                at = dice.randrange(len(damaged))
                damaged[at : at + dice.randrange(3)] = dice.choice(parts)
            for read in (
                config.parse,
                lambda data: layouts.manifest(data, "image manifest"),
                lambda data: layouts.descriptors(data, "image index"),
                layouts.archived_images,
            ):
                try:
                    read(bytes(damaged))
                except errdefs.InvalidArgument:
                    pass
