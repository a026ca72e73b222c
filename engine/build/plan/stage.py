"""A stage as it is being planned: what its image says so far, and the vertex that makes its files."""

import math

import msgspec

import errdefs
from engine.build.dockerfile import expand as words
from engine.build.plan.graph import Node
from engine.build.plan.metadata import Base
from engine.build.plan.plan import Entry
from engine.build.steps import Vertex
from engine.containers.config import ContainerConfig
from engine.images import platforms
from engine.images.config import ImageConfig, RootFS
from engine.images.platforms import Platform

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL = ("/bin/sh", "-c")


class Stage(msgspec.Struct, kw_only=True):
    """`variables` are what words are expanded by and what RUN has: of the image, and arguments. `arguments` are those
    of this stage in the order of their ARGs, None without a value. `history` is what this build adds to the history.
    """

    node: Node
    platform: Platform
    config: ImageConfig
    classic: bool
    escape: str = "\\"
    several: bool = False
    base: ImageConfig | None = None
    root: Vertex | None = None
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    arguments: list[tuple[str, str | None]] = msgspec.field(default_factory=list)
    history: list[Entry] = msgspec.field(default_factory=list)
    ignore_cache: bool = False
    cmd_given: bool = False
    on_build: bool = False
    _index: int = 0
    _places: dict[str, int] = msgspec.field(default_factory=dict)  # of variables in the environment

    @property
    def run(self) -> ContainerConfig:
        """What the image gives to containers; made to be changed."""
        if self.config.config is None:
            self.config.config = ContainerConfig()
        return self.config.config

    @property
    def directory(self) -> str:
        """Where relative paths begin."""
        return self.run.working_dir or "/"

    @property
    def shell(self) -> list[str]:
        """What runs command lines that are no lists of words."""
        return list(self.run.shell or _SHELL)

    def expand(self, word: str) -> str:
        """A word with its variables replaced. InvalidArgument if that cannot be."""
        return words.expand(word, self.variables, self.escape)

    def shown(self, text: str) -> str:
        """An instruction as progress shows it: its variables replaced."""
        keyword, space, rest = words.shown(text, self.variables, self.escape).partition(" ")
        return keyword.upper() + space + rest

    def numbered(self, text: str) -> str:
        """The next step of this stage: `[build 2/3] RUN make`."""
        total = self.node.total
        if total == 0:
            return text
        self._index += 1
        platform = f"{platforms.render(self.platform)}{self._cross()} " if self.several else ""
        name = f"{self.node.shown} " if self.node.shown else ""
        width = 1 + int(math.log10(total))
        trigger = "ONBUILD " if self.on_build else ""
        return f"[{platform}{name}{self._index:{width}d}/{total}] {trigger}{text}"

    def note(self, text: str, *, vertex: Vertex | None = None, hashed: bool = False) -> None:
        """A line of the history, as BuildKit has it."""
        self.history.append(Entry(created_by=text, vertex=vertex, author=self._author, hashed=hashed))

    def note_classic(
        self, *command: str, vertex: Vertex | None = None, hashed: bool = False, run: bool = False
    ) -> None:
        """A line of the history, as the classic builder has it: a command that only tells, or one that is `run`."""
        whole = list(command) if run else [*self.shell, *command]
        self.history.append(
            Entry(
                created_by=" ".join(whole), command=whole, vertex=vertex, author=self._author, hashed=hashed
            )
        )

    def setting(self, text: str, classic: str | None = None) -> None:
        """A line of the history for what changes the config alone."""
        if self.classic:
            self.note_classic("#(nop) ", text if classic is None else classic)
        else:
            self.note(text)

    def begin(self) -> None:
        """Have PATH in the environment, and the variables of the image."""
        run = self.run
        if not any(entry.partition("=")[0] == "PATH" for entry in run.env or ()):
            run.env = [*(run.env or ()), f"PATH={PATH}"]
        for entry in run.env or ():
            name, _, value = entry.partition("=")
            self.variables[name] = value

    def set_variable(self, name: str, value: str) -> None:
        """Have a variable in the environment of the image and of what follows; a later value takes the place."""
        entries = self._environment()
        text = f"{name}={value}"
        if name in self._places:
            entries[self._places[name]] = text
        else:
            self._places[name] = len(entries)
            entries.append(text)
        self.variables[name] = value

    def has_variable(self, name: str) -> bool:
        """Whether the environment of the image has it."""
        self._environment()
        return name in self._places

    def _environment(self) -> list[str]:
        if self.run.env is None:
            self.run.env = []
        if not self._places:
            names = [entry.partition("=")[0] for entry in self.run.env]
            self._places.update({name: number for number, name in reversed(list(enumerate(names)))})
        return self.run.env

    def followed_by(self, node: Node, *, ignore_cache: bool) -> "Stage":
        """A stage that stands on this one: with its variables, but arguments of its own."""
        stage = Stage(
            node=node,
            platform=self.platform,
            config=self.snapshot(),
            classic=self.classic,
            escape=self.escape,
            several=self.several,
            base=self.base,
            root=self.root,
            variables={} if self.classic else dict(self.variables),
            history=list(self.history),
            ignore_cache=ignore_cache,
        )
        stage.begin()
        return stage

    def snapshot(self) -> ImageConfig:
        """The config as it is now, to be changed by itself."""
        history = list(self.config.history)
        rootfs = RootFS(diff_ids=list(self.config.diff_ids))
        return msgspec.structs.replace(self.config, config=copied(self.run), history=history, rootfs=rootfs)

    @property
    def _author(self) -> str:
        return self.config.author if self.classic else ""

    def _cross(self) -> str:
        """What is compiled for, where variables say that it is for another platform: `->arm64`."""
        target = self.variables.get("TARGETPLATFORM", "")
        try:
            aim = platforms.parse(target) if target else self.platform
        except errdefs.InvalidArgument:
            return ""
        if (aim.os, aim.architecture) == (self.platform.os, self.platform.architecture):
            return ""
        if aim.os != self.platform.os:
            return f"->{platforms.render(aim)}"
        return f"->{aim.architecture}{f'/{aim.variant}' if aim.variant else ''}"


def of_base(base: Base, *, classic: bool) -> ImageConfig:
    """The config that a stage on an image begins with; with the classic builder containers' own settings stay."""
    found = base.config
    run = copied(found.run)
    if classic:
        run.open_stdin = run.stdin_once = False
        run.image = base.source.image if base.source else ""
    else:
        run = ContainerConfig(
            user=run.user,
            exposed_ports=run.exposed_ports,
            env=run.env,
            cmd=run.cmd,
            healthcheck=run.healthcheck,
            args_escaped=run.args_escaped,
            volumes=run.volumes,
            working_dir=run.working_dir,
            entrypoint=run.entrypoint,
            on_build=run.on_build,
            labels=run.labels,
            stop_signal=run.stop_signal,
            stop_timeout=run.stop_timeout,
            shell=run.shell,
        )
    return ImageConfig(
        architecture=found.architecture,
        variant=found.variant,
        os=found.os,
        os_version=found.os_version,
        os_features=found.os_features,
        author="" if classic else found.author,
        config=run,
        history=list(found.history),
        rootfs=RootFS(diff_ids=list(found.diff_ids)),
    )


def of_scratch(platform: Platform, *, classic: bool) -> ImageConfig:
    """The config that a stage on nothing begins with."""
    run = ContainerConfig() if classic else ContainerConfig(working_dir="/", env=[f"PATH={PATH}"])
    return ImageConfig(
        architecture=platform.architecture,
        variant=platform.variant,
        os=platform.os,
        config=run,
        rootfs=RootFS(),
    )


def copied(config: ContainerConfig) -> ContainerConfig:
    """One that can be changed by itself."""
    return msgspec.convert(msgspec.to_builtins(config), ContainerConfig)
