"""COPY, ADD and WORKDIR as vertices."""

import posixpath
from collections.abc import Sequence

import msgspec

import errdefs
from engine.build.contexts import repository
from engine.build.dockerfile.expand import expand_text
from engine.build.dockerfile.instructions import Add, Copy, Transfer, Workdir
from engine.build.plan import origins, settings
from engine.build.plan.plan import NOTHING, SOURCES
from engine.build.plan.stage import Stage
from engine.build.steps import Action, Files, GitSource, MakeDirectory, MakeFile, UrlSource, Vertex
from engine.build.steps import Copy as CopyAction
from runtime.copying import chmod, selection


class _Sources(msgspec.Struct):
    """The inputs of a step that are copied from, and the actions so far."""

    name: str
    vertices: list[Vertex] = msgspec.field(default_factory=list)
    actions: list[Action] = msgspec.field(default_factory=list)

    def number(self, vertex: Vertex) -> int:
        """Which input a vertex is: 0 is the root."""
        if vertex not in self.vertices:
            self.vertices.append(vertex)
        return 1 + self.vertices.index(vertex)


def copy(stage: Stage, instruction: Transfer, origin: Vertex, epoch: int | None) -> None:
    """One more step of a stage; `origin` is what paths are taken from. InvalidArgument for what cannot be."""
    _check(stage, instruction)
    destination = origins.absolute(stage.directory, instruction.destination)
    sources = _Sources(stage.numbered(stage.shown(instruction.text)))
    pattern = CopyAction(
        source=0,
        sources=(),
        destination=destination,
        owner=instruction.chown,
        mode=instruction.chmod,
        parents=isinstance(instruction, Copy) and instruction.parents,
        exclude=instruction.exclude,
    )
    for source in instruction.sources:
        sources.actions.append(_action(sources, instruction, source, origin, pattern, classic=stage.classic))
    for file in instruction.files:
        content = expand_text(file.chomped, stage.variables) if file.expand else file.chomped
        sources.actions.append(
            MakeFile(
                destination=destination,
                name=file.name,
                content=content.encode(),
                owner=instruction.chown,
                mode=instruction.chmod,
            )
        )
    actions = _merged(sources.actions)
    if stage.classic:
        actions = _counted(instruction, actions)
    vertex = Vertex(
        name=sources.name,
        operation=Files(actions=actions, link=instruction.link, epoch=epoch),
        inputs=(stage.root or NOTHING, *sources.vertices),
        position=instruction.position,
        ignore_cache=stage.ignore_cache,
    )
    stage.root = vertex
    _note(stage, instruction, vertex)


def work_in(stage: Stage, instruction: Workdir, epoch: int | None) -> None:
    """Change the directory of a stage, and have it."""
    name = stage.shown(instruction.text)
    if stage.classic and not instruction.path:
        raise errdefs.InvalidArgument("cannot normalize nothing")
    directory = settings.work_in(stage, instruction.path)
    vertex: Vertex | None = None
    if directory != "/":
        vertex = stage.root = Vertex(
            name=stage.numbered(name),
            operation=Files(actions=[MakeDirectory(path=directory, owner=_owner(stage))], epoch=epoch),
            inputs=(stage.root or NOTHING,),
            position=instruction.position,
            ignore_cache=stage.ignore_cache,
        )
    if stage.classic:
        stage.note_classic(f"#(nop) WORKDIR {directory}", vertex=vertex)
    else:
        stage.note(f"WORKDIR {directory}", vertex=vertex)


def is_fetched(source: str) -> bool:
    """Whether ADD takes this from elsewhere."""
    return origins.is_url(source) or repository.parse(source) is not None


def _owner(stage: Stage) -> str:
    return "" if stage.classic else stage.run.user


def _check(stage: Stage, instruction: Transfer) -> None:
    if instruction.chmod:
        if stage.classic:
            raise errdefs.InvalidArgument(
                "the --chmod option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to"
                " build images with BuildKit enabled"
            )
        chmod.parse(instruction.chmod)
    if isinstance(instruction, Add):
        if instruction.checksum:
            _check_checksum(instruction)
        return
    for source in instruction.sources:
        if repository.parse(source) is not None:
            raise errdefs.InvalidArgument("source can't be a git ref for COPY")
        if origins.is_url(source):
            failed = "COPY failed: " if stage.classic else ""
            raise errdefs.InvalidArgument(f"{failed}source can't be a URL for COPY")


def _check_checksum(add: Add) -> None:
    if len(add.sources) != 1:
        raise errdefs.InvalidArgument("checksum can't be specified for multiple sources")
    if not (origins.is_url(add.sources[0]) or repository.parse(add.sources[0])):
        raise errdefs.InvalidArgument("checksum requires HTTP(S) or Git sources")


def _action(
    sources: _Sources,
    instruction: Transfer,
    source: str,
    origin: Vertex,
    pattern: CopyAction,
    *,
    classic: bool,
) -> CopyAction:
    if isinstance(instruction, Add) and repository.parse(source) is not None:
        git = Vertex(
            name=sources.name,
            operation=GitSource(
                url=_with_checksum(source, instruction.checksum),
                keep_git_dir=bool(instruction.keep_git_dir),
            ),
            position=instruction.position,
        )
        return msgspec.structs.replace(pattern, source=sources.number(git), sources=["/"], unpack=False)
    if isinstance(instruction, Add) and origins.is_url(source):
        fetched = Vertex(
            name=sources.name,
            operation=UrlSource(url=source, checksum=instruction.checksum),
            position=instruction.position,
        )
        # It is alone there, and its name may have what a pattern means otherwise.
        return msgspec.structs.replace(
            pattern, source=sources.number(fetched), sources=["*"], unpack=instruction.unpack is True
        )
    if classic:
        _require_inside(instruction, source)
    unpack = isinstance(instruction, Add) and instruction.unpack is not False
    path = source if pattern.parents else posixpath.normpath(posixpath.join("/", source)).lstrip("/") or "/"
    return msgspec.structs.replace(pattern, source=sources.number(origin), sources=[path], unpack=unpack)


def _require_inside(instruction: Transfer, source: str) -> None:
    """Docker's first builder does not take the way out of a context for its root."""
    if posixpath.normpath(source.lstrip("/")).split("/")[0] == "..":
        path = source.lstrip("/")
        raise errdefs.InvalidArgument(
            f"{_keyword(instruction)} failed: forbidden path outside the build context: {path} ()"
        )


def _with_checksum(url: str, checksum: str) -> str:
    """The name of a repository at a commit that is checked."""
    if not checksum:
        return url
    base, hash_sign, fragment = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}checksum={checksum}{hash_sign}{fragment}"


def _merged(actions: Sequence[Action]) -> list[Action]:
    """Neighbours that differ in their sources alone as one."""
    merged: list[Action] = []
    for action in actions:
        last = merged[-1] if merged else None
        if not (isinstance(action, CopyAction) and isinstance(last, CopyAction)):
            merged.append(action)
        elif msgspec.structs.replace(last, sources=action.sources) == action:
            merged[-1] = msgspec.structs.replace(last, sources=[*last.sources, *action.sources])
        else:
            merged.append(action)
    return merged


def _keyword(instruction: Transfer) -> str:
    return "ADD" if isinstance(instruction, Add) else "COPY"


def _counted(instruction: Transfer, actions: Sequence[Action]) -> list[Action]:
    """As Docker's first builder takes them, which counts what is found. InvalidArgument for what cannot be."""
    keyword, several = _keyword(instruction), instruction.destination.endswith("/")
    if len(actions) == 1 and isinstance(actions[0], CopyAction):
        return [msgspec.structs.replace(actions[0], keyword=keyword, several=several)]
    if not several:
        raise errdefs.InvalidArgument(selection.several(keyword))
    return list(actions)


def _note(stage: Stage, instruction: Transfer, vertex: Vertex) -> None:
    keyword = _keyword(instruction)
    chown = f"--chown={instruction.chown}" if instruction.chown else ""
    if stage.classic:
        flags = f"{chown} " if chown else ""
        stage.note_classic(
            f"#(nop) {keyword} {flags}{SOURCES} in {instruction.destination} ", vertex=vertex, hashed=True
        )
        return
    words = [
        keyword,
        *(["--parents"] if isinstance(instruction, Copy) and instruction.parents else []),
        *([chown] if chown else []),
        *([f"--chmod={instruction.chmod}"] if instruction.chmod else []),
        *instruction.sources,
        *(f"<<{file.name}" for file in instruction.files),
        instruction.destination,
    ]
    stage.note(f"{' '.join(words)} # buildkit", vertex=vertex)
