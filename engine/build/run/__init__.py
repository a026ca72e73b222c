"""RUN: a command in the files of a step, sandboxed as a container is, without being one."""
