"""The tests of aiodocker's own suite that fail, each with the reason. One that passes and stands here fails as well."""

_ROOT = "root reads every file"
_BUILD = "images cannot be built yet"
_SSH = "the package asyncssh is not installed"

FAILURES: dict[str, str] = {
    "tests/test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_ca_file": _ROOT,
    "tests/test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_cert_file": _ROOT,
    "tests/test_context.py::TestLoadContextTLS::test_raises_error_on_unreadable_key_file": _ROOT,
    "tests/test_images.py::test_build_from_remote_file": _BUILD,
    "tests/test_images.py::test_build_from_remote_tar": _BUILD,
    "tests/test_images.py::test_build_from_tar": _BUILD,
    "tests/test_images.py::test_build_from_tar_stream": _BUILD,
    "tests/test_images.py::test_build_image_invalid_platform": _BUILD,
    "tests/test_images.py::test_prune_images": _BUILD,
    "tests/test_ssh.py::test_ssh_connector_invalid_url_scheme": _SSH,
    "tests/test_ssh.py::test_ssh_connector_missing_hostname": _SSH,
    "tests/test_ssh.py::test_ssh_connector_invalid_port": _SSH,
}
