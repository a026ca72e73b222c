"""The tests of aiodocker's own suite that fail, each with the reason. One that passes and stands here fails as well."""

_ROOT = "root reads every file"
_SSH = "the package asyncssh is not installed"
_INTERNET = "what it builds comes from GitHub, or from Docker Hub by other names than the stand-in has"
_NOTHING = "FROM alone makes no image: nothing is pruned, and the list of it is null, as dockerd's"

FAILURES: dict[str, str] = {
    "tests/test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_ca_file": _ROOT,
    "tests/test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_cert_file": _ROOT,
    "tests/test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_key_file": _ROOT,
    "tests/test_images.py::test_build_from_remote_file": _INTERNET,
    "tests/test_images.py::test_build_from_remote_tar": _INTERNET,
    "tests/test_images.py::test_prune_images": _NOTHING,
    "tests/test_ssh.py::test_ssh_connector_invalid_url_scheme": _SSH,
    "tests/test_ssh.py::test_ssh_connector_missing_hostname": _SSH,
    "tests/test_ssh.py::test_ssh_connector_invalid_port": _SSH,
}
