"""The containerd-like half: supervisor, shims, runc, OCI spec, snapshots, content, layers, cgroups."""
