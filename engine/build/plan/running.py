"""RUN as a vertex, with its mounts."""

import posixpath
from collections.abc import Callable, Mapping

import msgspec

import errdefs
from engine.build.dockerfile import heredocs, mounts
from engine.build.dockerfile.instructions import Run
from engine.build.dockerfile.values import Heredoc, Mount
from engine.build.plan import arguments, settings
from engine.build.plan.plan import NOTHING
from engine.build.plan.stage import Stage
from engine.build.plan.variables import given
from engine.build.request import BuildRequest
from engine.build.steps import Files, MakeFile, RunMount, Vertex
from engine.build.steps import Run as RunStep
from engine.images import platforms

HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
_NAMESPACE = "BUILDKIT_CACHE_MOUNT_NS"
_PIPES = "/dev/pipes"
_SECRETS = "/run/secrets"

Origin = Callable[[str, str], Vertex]
"""The vertex that `from=` means ("" for the context), of which this path is needed."""


class _Inputs(msgspec.Struct):
    """What is mounted from elsewhere: input 0 is the root."""

    root: Vertex
    vertices: list[Vertex] = msgspec.field(default_factory=list)
    mounts: list[RunMount] = msgspec.field(default_factory=list)

    def number(self, vertex: Vertex) -> int:
        if vertex not in self.vertices:
            self.vertices.append(vertex)
        return 1 + self.vertices.index(vertex)


def run(
    stage: Stage, instruction: Run, origin: Origin, request: BuildRequest, proxies: Mapping[str, str]
) -> None:
    """One more step of a stage. InvalidArgument for what cannot be."""
    _require_granted(stage, instruction, request)
    values = given(request)
    if stage.classic:  # what the image says of its own goes first
        proxies = {name: value for name, value in proxies.items() if not stage.has_variable(name)}
    inputs = _Inputs(stage.root or NOTHING)
    args, about = _command(stage, instruction, inputs)
    for text in instruction.mounts:
        mount = mounts.parse_mount(text, stage.expand)
        inputs.mounts.append(_mount(stage, mount, origin, inputs, values.get(_NAMESPACE, "")))
    vertex = Vertex(
        name=stage.numbered(stage.shown(instruction.text + about)),
        operation=RunStep(
            args=args,
            env=[f"{name}={value}" for name, value in stage.variables.items()],
            cwd=stage.directory,
            user=stage.run.user,
            mounts=inputs.mounts,
            network=instruction.network if instruction.network != "default" else request.network,
            security=instruction.security,
            hostname=values.get(HOSTNAME, ""),
            extra_hosts=request.extra_hosts,
            proxy=proxies,
            limits=request.limits,
            platform=platforms.render(stage.platform),
        ),
        inputs=(inputs.root, *inputs.vertices),
        position=instruction.position,
        ignore_cache=stage.ignore_cache,
    )
    stage.root = vertex
    line = [*arguments.of_history(stage, untold=bool(proxies)), *args]
    if stage.classic:
        stage.note_classic(*line, vertex=vertex, run=True)
    else:
        stage.note(f"RUN {' '.join(line)} # buildkit", vertex=vertex)


def _require_granted(stage: Stage, instruction: Run, request: BuildRequest) -> None:
    if stage.classic:
        flags = [("mount", bool(instruction.mounts)), ("network", instruction.network != "default")]
        for name, used in (*flags, ("security", instruction.security != "sandbox")):
            if used:
                raise errdefs.InvalidArgument(
                    f"the --{name} option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how"
                    " to build images with BuildKit enabled"
                )
    if instruction.security == "insecure" and not request.insecure:
        raise errdefs.InvalidArgument("security.insecure is not allowed")
    if "host" in (instruction.network, request.network) and not request.host_network:
        raise errdefs.InvalidArgument("network.host is not allowed")


def _command(stage: Stage, instruction: Run, inputs: _Inputs) -> tuple[list[str], str]:
    """The whole command line, and what its name tells of a heredoc."""
    if not instruction.heredocs:
        return settings.command_line(stage, instruction), ""
    if not instruction.shell or len(instruction.words) != 1:
        raise errdefs.InvalidArgument(f"parsing produced an invalid run command: {list(instruction.words)}")
    (line,) = instruction.words
    first = instruction.heredocs[0]
    if heredocs.begun(line) is None:
        whole = line + "".join(f"\n{each.content}{each.name}" for each in instruction.heredocs)
        return [*stage.shell, whole], ""
    about = f" ({_summary(first.content)})"
    script = _script(first, inputs) if first.chomped.startswith("#!") else first.chomped
    return [*stage.shell, script], about


def _script(heredoc: Heredoc, inputs: _Inputs) -> str:
    """Where a heredoc that names its own interpreter is mounted."""
    file = MakeFile(
        destination=f"/{heredoc.name}", name=heredoc.name, content=heredoc.chomped.encode(), mode="0755"
    )
    made = Vertex(
        name="[internal] preparing inline document", operation=Files(actions=[file]), inputs=(NOTHING,)
    )
    inputs.mounts.append(
        RunMount(kind="bind", target=_PIPES, source=inputs.number(made), path="/", read_only=True)
    )
    return f"{_PIPES}/{heredoc.name}"


def _summary(content: str) -> str:
    first, *more = content.strip().replace("\r\n", "\n").split("\n")
    return first + ("..." if more else "")


def _mount(stage: Stage, mount: Mount, origin: Origin, inputs: _Inputs, namespace: str) -> RunMount:
    if mount.kind == "secret":
        return _secret(stage, mount)
    if mount.kind == "ssh":
        return _ssh(stage, mount)
    target = posixpath.normpath(posixpath.join("/", stage.directory, mount.target))
    if target == "/":
        raise errdefs.InvalidArgument(f'invalid mount target "{target}"')
    if mount.kind == "tmpfs":
        return RunMount(kind="tmpfs", target=target, size=mount.size)
    path = posixpath.normpath(posixpath.join("/", mount.source))
    source = None
    if mount.kind == "bind" or mount.origin:
        source = inputs.number(origin(mount.origin, path))
    return RunMount(
        kind=mount.kind,
        target=target,
        source=source,
        path=path,
        read_only=mount.read_only,
        id=f"{namespace}/{mount.id or posixpath.normpath(mount.target)}" if mount.kind == "cache" else "",
        sharing=mount.sharing or "shared",
        mode=mount.mode,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
    )


def _secret(stage: Stage, mount: Mount) -> RunMount:
    name = mount.source or mount.id or posixpath.basename(mount.target)
    target = mount.target or ("" if mount.env is not None else f"{_SECRETS}/{posixpath.basename(name)}")
    return RunMount(
        kind="secret",
        target=posixpath.normpath(posixpath.join("/", stage.directory, target)) if target else "",
        id=name,
        required=mount.required,
        mode=mount.mode,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
        env=(mount.env or posixpath.basename(name)) if mount.env is not None else "",
    )


def _ssh(stage: Stage, mount: Mount) -> RunMount:
    if mount.source:
        raise errdefs.InvalidArgument("ssh does not support source")
    target = posixpath.normpath(posixpath.join("/", stage.directory, mount.target)) if mount.target else ""
    return RunMount(
        kind="ssh",
        target=target,
        id=mount.id or "default",
        required=mount.required,
        mode=mount.mode,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
    )
