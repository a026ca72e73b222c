"""Named contexts, and what is needed of each context."""

import posixpath

import msgspec

import errdefs
from engine.build.contexts import repository
from engine.build.plan.plan import NOTHING
from engine.build.request import BuildRequest
from engine.build.session import Wanted
from engine.build.steps import ContextSource, Copy, Files, GitSource, UrlSource, Vertex
from engine.images import platforms, reference
from engine.images.platforms import Platform
from engine.images.reference import Reference

MAIN = "context"
_UNNAMED = frozenset(("scratch", MAIN))


class Given(msgspec.Struct, frozen=True):
    """A named context: `shown` with the platform if it is for one, `kind` and `value` of "docker-image://alpine".

    `named` is what it is called, as the name of an image.
    """

    shown: str
    kind: str
    value: str
    named: Reference


def given(request: BuildRequest, name: str, platform: Platform) -> Given | None:
    """The context that a build has under the name of an image or a stage. InvalidArgument for what is no context."""
    if not request.contexts or name.lower() in _UNNAMED:
        return None
    try:
        named = reference.parse(name)
        plain = named.familiar.removesuffix(":latest")
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"invalid context name {name}: {error.message}") from None
    for shown in (f"{plain}::{platforms.render(platform)}", plain):
        if shown in request.contexts:
            return _read(shown, request.contexts[shown], named)
    return None


def _read(shown: str, text: str, named: Reference) -> Given:
    kind, colon, value = text.partition(":")
    if not colon:
        raise errdefs.InvalidArgument(f"invalid context specifier {text} for {shown}")
    if kind.startswith("git@"):
        kind = "git"
    if kind == "git" or kind in ("http", "https"):
        return Given(shown, kind, text, named)
    if kind not in ("docker-image", "oci-layout", "local", "input"):
        raise errdefs.InvalidArgument(f"unsupported context source {kind} for {shown}")
    return Given(shown, kind, value.removeprefix("//"), named)


class Contexts(msgspec.Struct):
    """The contexts of one build as vertices, each once, and the paths that are needed of them."""

    request: BuildRequest
    vertices: dict[str, Vertex] = msgspec.field(default_factory=dict)
    paths: dict[str, set[str]] = msgspec.field(default_factory=dict)

    def main(self) -> Vertex:
        """The build's context itself."""
        return self._of(MAIN, "[internal] load build context")

    def files(self, context: Given) -> Vertex:
        """A named context of files."""
        if context.kind == "local":
            return self._of(context.value, f"[context {context.shown}] load from client")
        key = f"{context.kind}:{context.value}"
        if key not in self.vertices:
            is_git = context.kind == "git" or repository.parse(context.value) is not None
            operation = (
                GitSource(url=context.value, keep_git_dir=True) if is_git else UrlSource(url=context.value)
            )
            name = f"[internal] load git source {repository.redacted(context.value)}"
            if not is_git:
                name = f"[context {context.shown}] {context.value}"
            self.vertices[key] = Vertex(name=name, operation=operation)
        return self.vertices[key]

    def need(self, vertex: Vertex, path: str) -> None:
        """A path is copied or mounted from a context; nothing for any other vertex."""
        if isinstance(vertex.operation, ContextSource):
            self.paths.setdefault(vertex.operation.name, set()).add(
                posixpath.normpath(posixpath.join("/", path))
            )

    def wanted(self) -> dict[str, Wanted]:
        """What steps need of each, by name."""
        return {
            name: Wanted(follow=sorted(path.lstrip("/") for path in paths) if "/" not in paths else ())
            for name, paths in self.paths.items()
        }

    def _of(self, name: str, shown: str) -> Vertex:
        if name not in self.vertices:
            self.vertices[name] = Vertex(name=shown, operation=ContextSource(name=name))
        return self.vertices[name]


def as_root(files: Vertex) -> Vertex:
    """The files of a context as a file system that steps can stand on."""
    return Vertex(
        name=files.name,
        operation=Files(actions=[Copy(source=1, sources=["/"], destination="/")]),
        inputs=(NOTHING, files),
    )
