"""Each field of Config and of HostConfig has a test that looks for it in the kernel, or where else it is to be seen."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

TESTS = Path(__file__).resolve().parents[2]
DEFINITION = TESTS.parent.parent / "shared/reference/engine-api-1.55.yaml"
FIELDS = "integration/host_config"

CONFIG = {
    "Hostname": f"{FIELDS}/test_namespaces.py::test_names_of_the_host",
    "Domainname": f"{FIELDS}/test_namespaces.py::test_names_of_the_host",
    "User": f"{FIELDS}/test_processes.py::test_groups",
    "AttachStdin": f"{FIELDS}/test_config.py::test_standard_input",
    "AttachStdout": "integration/test_attach_exec.py::test_start_attached",
    "AttachStderr": "integration/test_attach_exec.py::test_start_attached",
    "ExposedPorts": f"{FIELDS}/test_config.py::test_ports_that_are_exposed",
    "Tty": f"{FIELDS}/test_config.py::test_a_terminal",
    "OpenStdin": f"{FIELDS}/test_config.py::test_standard_input",
    "StdinOnce": f"{FIELDS}/test_config.py::test_standard_input",
    "Env": f"{FIELDS}/test_config.py::test_command_environment_and_directory",
    "Cmd": f"{FIELDS}/test_config.py::test_command_environment_and_directory",
    "Healthcheck": "integration/test_health.py::test_from_starting_to_healthy_to_unhealthy_and_back",
    "ArgsEscaped": f"{FIELDS}/test_config.py::test_a_command_of_one_text",
    "Image": "integration/test_run.py::test_a_missing_image",
    "Volumes": f"{FIELDS}/test_config.py::test_volumes_of_the_config",
    "WorkingDir": f"{FIELDS}/test_config.py::test_command_environment_and_directory",
    "Entrypoint": f"{FIELDS}/test_config.py::test_command_environment_and_directory",
    "NetworkDisabled": f"{FIELDS}/test_config.py::test_no_network",
    "OnBuild": f"{FIELDS}/test_config.py::test_what_only_builds_look_at_is_kept",
    "Labels": f"{FIELDS}/test_config.py::test_what_only_builds_look_at_is_kept",
    "StopSignal": f"{FIELDS}/test_processes.py::test_the_signal_to_stop_by",
    "StopTimeout": f"{FIELDS}/test_config.py::test_patience_at_the_stop",
    "Shell": f"{FIELDS}/test_config.py::test_what_only_builds_look_at_is_kept",
}
HOST = {
    "CpuShares": f"{FIELDS}/test_resources.py::test_cpu",
    "CpuPeriod": f"{FIELDS}/test_resources.py::test_cpu",
    "CpuQuota": f"{FIELDS}/test_resources.py::test_cpu",
    "CpusetCpus": f"{FIELDS}/test_resources.py::test_cpu",
    "CpusetMems": f"{FIELDS}/test_resources.py::test_cpu",
    "NanoCpus": f"{FIELDS}/test_resources.py::test_cpu_time",
    "CpuRealtimePeriod": f"{FIELDS}/test_resources.py::test_realtime",
    "CpuRealtimeRuntime": f"{FIELDS}/test_resources.py::test_realtime",
    "CpuCount": f"{FIELDS}/test_config.py::test_what_docker_takes_note_of_alone",
    "CpuPercent": f"{FIELDS}/test_config.py::test_what_docker_takes_note_of_alone",
    "IOMaximumIOps": f"{FIELDS}/test_config.py::test_what_only_windows_has_is_refused",
    "IOMaximumBandwidth": f"{FIELDS}/test_config.py::test_what_only_windows_has_is_refused",
    "Isolation": f"{FIELDS}/test_config.py::test_what_only_windows_has_is_refused",
    "Memory": f"{FIELDS}/test_resources.py::test_memory",
    "MemoryReservation": f"{FIELDS}/test_resources.py::test_memory",
    "MemorySwap": f"{FIELDS}/test_resources.py::test_memory_and_swap",
    "MemorySwappiness": f"{FIELDS}/test_resources.py::test_memory",
    "OomKillDisable": f"{FIELDS}/test_resources.py::test_memory",
    "OomScoreAdj": f"{FIELDS}/test_resources.py::test_memory",
    "PidsLimit": f"{FIELDS}/test_resources.py::test_processes",
    "BlkioWeight": "vm/test_limits.py::test_weights",
    "BlkioWeightDevice": "vm/test_limits.py::test_weights",
    "BlkioDeviceReadBps": f"{FIELDS}/test_block_devices.py::test_throttling",
    "BlkioDeviceWriteBps": f"{FIELDS}/test_block_devices.py::test_throttling",
    "BlkioDeviceReadIOps": f"{FIELDS}/test_block_devices.py::test_throttling",
    "BlkioDeviceWriteIOps": f"{FIELDS}/test_block_devices.py::test_throttling",
    "CgroupParent": f"{FIELDS}/test_host.py::test_the_group_above",
    "CgroupnsMode": f"{FIELDS}/test_namespaces.py::test_those_of_the_host",
    "Cgroup": f"{FIELDS}/test_config.py::test_what_docker_takes_note_of_alone",
    "Devices": f"{FIELDS}/test_processes.py::test_directories_links_and_permissions_of_devices",
    "DeviceCgroupRules": f"{FIELDS}/test_processes.py::test_rules_of_the_device_cgroup",
    "DeviceRequests": f"{FIELDS}/test_cdi.py::test_all_that_a_device_gives",
    "Init": f"{FIELDS}/test_processes.py::test_an_init",
    "Ulimits": f"{FIELDS}/test_processes.py::test_ulimits",
    "Sysctls": f"{FIELDS}/test_processes.py::test_sysctls",
    "GroupAdd": f"{FIELDS}/test_processes.py::test_groups",
    "Annotations": f"{FIELDS}/test_processes.py::test_annotations",
    "Privileged": f"{FIELDS}/test_processes.py::test_all_devices_of_the_host",
    "CapAdd": "integration/test_options.py::test_capabilities",
    "CapDrop": "integration/test_options.py::test_capabilities",
    "SecurityOpt": "integration/test_options.py::test_seccomp_and_privileges",
    "MaskedPaths": f"{FIELDS}/test_host.py::test_what_is_hidden",
    "ReadonlyPaths": f"{FIELDS}/test_host.py::test_what_is_read_only",
    "ReadonlyRootfs": "integration/test_options.py::test_read_only_root",
    "Runtime": f"{FIELDS}/test_host.py::test_another_runtime",
    "IpcMode": f"{FIELDS}/test_shared_memory.py::test_a_shareable_one_and_who_joins",
    "PidMode": f"{FIELDS}/test_namespaces.py::test_the_processes_of_another",
    "UTSMode": f"{FIELDS}/test_namespaces.py::test_those_of_the_host",
    "UsernsMode": f"{FIELDS}/test_userns.py::test_one_of_the_host_beside_it",
    "ShmSize": f"{FIELDS}/test_shared_memory.py::test_a_shareable_one_and_who_joins",
    "StorageOpt": "vm/test_quota.py::test_a_container_holds_no_more",
    "Tmpfs": f"{FIELDS}/test_mounts.py::test_tmpfs",
    "Binds": f"{FIELDS}/test_mounts.py::test_what_is_read_only",
    "Mounts": f"{FIELDS}/test_mounts.py::test_what_is_asked_to_be",
    "VolumesFrom": "integration/test_volumes.py::test_volumes_from",
    "VolumeDriver": "integration/test_volumes.py::test_options_of_a_mount",
    "NetworkMode": f"{FIELDS}/test_namespaces.py::test_those_of_the_host",
    "PortBindings": f"{FIELDS}/test_config.py::test_ports_that_are_exposed",
    "PublishAllPorts": f"{FIELDS}/test_config.py::test_ports_that_are_exposed",
    "Links": "integration/test_container_networks.py::test_a_link_on_the_default_bridge",
    "Dns": f"{FIELDS}/test_names.py::test_dns",
    "DnsOptions": f"{FIELDS}/test_names.py::test_dns",
    "DnsSearch": f"{FIELDS}/test_names.py::test_dns",
    "ExtraHosts": f"{FIELDS}/test_names.py::test_added_hosts",
    "LogConfig": f"{FIELDS}/test_names.py::test_what_log_records_carry",
    "RestartPolicy": "integration/test_life_cycle.py::test_restart_policies",
    "AutoRemove": "integration/test_volumes.py::test_anonymous_volumes_go_with_their_container",
    "ConsoleSize": f"{FIELDS}/test_config.py::test_a_terminal",
    "ContainerIDFile": f"{FIELDS}/test_config.py::test_what_docker_takes_note_of_alone",
}


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests of a module."""
    module = ast.parse((TESTS / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in module.body if isinstance(node, kinds))


@pytest.mark.parametrize("field", [*CONFIG, *HOST])
def test_it_has_its_test(field: str) -> None:
    path, _, name = (CONFIG | HOST)[field].partition("::")
    assert name in names_in(path)


@pytest.mark.skipif(not DEFINITION.exists(), reason=f"{DEFINITION} is not here")
def test_none_is_forgotten() -> None:
    defined = yaml.safe_load(DEFINITION.read_text())["definitions"]
    host = [part for part in defined["HostConfig"]["allOf"] if "properties" in part]
    fields = {*defined["Resources"]["properties"], *(name for part in host for name in part["properties"])}
    assert set(HOST) == fields
    assert set(CONFIG) == set(defined["ContainerConfig"]["properties"])
