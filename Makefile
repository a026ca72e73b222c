# The two commands: `make run` and `make test`. Every target may be said at any time; what is there already
# is not done again.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: setup setup-check setup-test run test check bench test-vm clean

VENV := .venv
CACHE := .cache
SCRIPTS := contrib/scripts
PYTHON ?= $(shell $(SCRIPTS)/find-python)

# runc runs containers, libnftables and iptables carry the network, the CLI drives the daemon, busybox makes
# the first image, ps answers `docker top`, tini is what `docker run --init` puts in a container, and git fetches what is
# built from a repository.
PACKAGES := runc nftables libnftables1 iptables iproute2 docker-cli busybox-static tini procps git
TEST_PACKAGES := docker-compose docker-buildx docker-registry skopeo mmdebstrap conntrack strace chromium
# What firewalld needs, and the bus that it is spoken to by.
TEST_PACKAGES += dbus python3-dbus python3-gi python3-nftables
# What archives of contexts are packed with.
TEST_PACKAGES += bzip2 xz-utils zstd
# Another resolver than the host's.
TEST_PACKAGES += musl-tools gcc
# Installed it would rule over the host.
FIREWALLS := ufw firewalld python3-firewall

setup:
	@$(SCRIPTS)/packages $(PACKAGES)
	@$(SCRIPTS)/venv $(VENV) "$(PYTHON)"

setup-check:
	@$(SCRIPTS)/packages $(PACKAGES)
	@$(SCRIPTS)/venv $(VENV) "$(PYTHON)" dev

setup-test: setup-check
	@$(SCRIPTS)/packages $(TEST_PACKAGES)
	@$(SCRIPTS)/peer $(CACHE)/peer
	@$(SCRIPTS)/unpack $(CACHE)/firewalls $(FIREWALLS)
	@tests/services/prepare $(CACHE)/images
	@tests/images/prepare $(CACHE)/images/debian
	@tests/integration/build/projects/prepare $(CACHE)/images/node
	@$(VENV)/bin/python -m tests.images.stored
	@tests/ui/prepare $(CACHE)/glances
	@tests/aiodocker/prepare $(CACHE)/aiodocker

run: setup
	@$(SCRIPTS)/run $(VENV)

# All tests, in two lanes; or some of them only, in one: make test ARGS="tests/unit -k shim". With WHERRY_VM=1 those in
# the virtual machine, too, which take a few minutes more.
test: setup-test
	@if [[ $$WHERRY_VM == 1 ]]; then tests/vm/prepare $(CACHE)/vm; fi
	$(VENV)/bin/python -m $(if $(ARGS),pytest $(ARGS),tests.lanes)

check: setup-check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

# Both daemons, six minutes; or a part of it: make bench ARGS="--only exec --rounds 50".
bench: setup-test
	$(VENV)/bin/python -m tests.bench.run $(ARGS)

test-vm: setup-check
	@tests/vm/prepare $(CACHE)/vm
	WHERRY_VM=1 $(VENV)/bin/python -m pytest tests/vm $(ARGS)

clean:
	rm -rf $(CACHE) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
