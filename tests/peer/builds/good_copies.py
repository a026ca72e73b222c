"""Dockerfiles that are about COPY and ADD."""

import io
import tarfile

from tests.peer.builds.case import BUILDKIT, CLASSIC, OLD, Case, Directory, Entry, File, Link

TREE: dict[str, Entry] = {
    "file": "content\n",
    "other.txt": File("other\n", 0o600, (12, 34)),
    "run.sh": File("#!/bin/sh\n", 0o755),
    "setuid": File("s", 0o4755),
    "dir/a.txt": "a\n",
    "dir/b.c": "b\n",
    "dir/sub/c.txt": "c\n",
    "dir/sub/.hidden": "h\n",
    "dir/empty": Directory(0o1777),
    "dir/link": Link("a.txt"),
    "dir/broken": Link("/nowhere"),
    "dir/outside": Link("../file"),
    "link-to-file": Link("file"),
    "link-to-dir": Link("dir"),
    "a b": "space\n",
    "é": "accent\n",
    "[x]": "brackets\n",
}

IGNORED = """# comment
*.txt
!other.txt
dir/sub
!dir/sub/c.txt
**/b.c
link-*
/é
Dockerfile
"""


def archive(mode: str, root: str = "") -> bytes:
    """A tar with a directory, a file of another owner and a link, of which nothing is new."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{mode}") as opened:  # type: ignore[call-overload]
        for name, kind, content in (("t", tarfile.DIRTYPE, b""), ("t/f", tarfile.REGTYPE, b"packed\n")):
            info = tarfile.TarInfo(root + name)
            info.type, info.size, info.mtime = kind, len(content), OLD
            info.mode, info.uid, info.gid = 0o750 if kind == tarfile.DIRTYPE else 0o640, 7, 8
            opened.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo(root + "t/l")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "f", OLD
        opened.addfile(link)
    return stream.getvalue()


CASES = [
    Case(
        name="copy-destinations",
        dockerfile="""FROM busybox
COPY file /as-file
COPY file /in-dir/
COPY file /deep/er/as-file
COPY file other.txt /two/
COPY dir /dir
COPY dir/ /dir-slash/
COPY dir /exists
COPY dir/sub /exists
WORKDIR /work
COPY file .
COPY file rel
COPY file ./dir/
COPY dir .
COPY . /all
COPY ./file ../up
""",
        files=TREE,
    ),
    Case(
        name="copy-onto",
        dockerfile="""FROM busybox
RUN mkdir -p /d/sub /real && ln -s /real /to-dir && ln -s /real/made /to-nothing
RUN ln -s . /d/self && chmod 700 /d && chown 3:4 /d/sub
COPY dir /d
COPY file /to-dir
COPY file /to-dir/
COPY file /to-dir/x/y
COPY dir/sub /real/
COPY file /d/a.txt
""",
        files=TREE,
    ),
    Case(
        name="copy-wildcards",
        dockerfile="""FROM busybox
COPY *.txt /txt/
COPY dir/*/*.txt /deep/
COPY d?r /dir/
COPY [fo]*e* /class/
COPY nothing* file /some/
COPY dir/[al]* /flat/
COPY */sub /subs/
""",
        files={name: entry for name, entry in TREE.items() if name != "dir/broken"},
    ),
    Case(
        name="copy-escaped",
        dockerfile="FROM busybox\nCOPY \\[x\\] /escaped/\nCOPY missing*/x missing? /nowhere/\n",
        files=TREE,
        builders=(BUILDKIT,),
    ),
    Case(
        name="copy-names",
        dockerfile="""FROM busybox
ENV WHAT=file DEST=/env
COPY ["a b", "é", "/with space/"]
COPY $WHAT ${DEST}/$WHAT
COPY ${NOPE:-file} /defaulted
COPY /file //double//slash
COPY dir/../file /cleaned
""",
        files=TREE,
    ),
    Case(
        name="copy-links",
        dockerfile="""FROM busybox
COPY link-to-file /as-file
COPY link-to-dir /as-dir
COPY link-to-dir/ /as-dir-slash/
COPY link-to-dir/a.txt /through
COPY dir/outside /outside
""",
        files=TREE,
    ),
    Case(
        name="copy-hard",
        dockerfile="FROM busybox\nCOPY . /here/\nCOPY one two /there/\n",
        files={"one": "same\n", "two": Link("one", hard=True)},
    ),
    Case(
        name="copy-owners",
        dockerfile="""FROM busybox
ARG WHO=daemon
COPY file /plain
COPY --chown=1:2 file /numbers
COPY --chown=33 file /number
COPY --chown=daemon file /name
COPY --chown=daemon:staff dir /names/deep/
COPY --chown=$WHO:5 other.txt setuid /variable/
COPY --chown=:staff file /group
USER nobody
COPY file /as-user
WORKDIR /made
COPY dir made
""",
        files=TREE,
        builders=(BUILDKIT,),
    ),
    Case(
        name="copy-owners-classic",
        dockerfile="""FROM busybox
COPY --chown=1:2 file /numbers
COPY --chown=daemon:staff dir /names/
ADD --chown=33 . /all/
""",
        files=TREE,
    ),
    Case(
        name="copy-owners-classic-group",
        dockerfile="""FROM busybox
RUN echo joe:x:7:8::/:/bin/sh >> /etc/passwd; echo joe:x:9: >> /etc/group
COPY --chown=joe file /own
COPY --chown=+5:joe file /signed
ADD --chown=joe:33 dir /number/
""",
        files=TREE,
        builders=(CLASSIC,),
    ),
    Case(
        name="copy-modes",
        dockerfile="""FROM busybox
COPY --chmod=751 file setuid dir /octal/
COPY --chmod=4755 file /special
COPY --chmod=0600 --chown=3:4 file /both/new/
ADD --chmod=444 file /added
""",
        files=TREE,
        builders=(BUILDKIT,),
    ),
    Case(
        name="copy-link",
        dockerfile="""FROM busybox
COPY --link file /a/b/file
COPY --link dir /there/
COPY --link --chown=5:6 --chmod=640 file /owned/
ADD --link file /added
RUN echo after > /after
""",
        files=TREE,
        builders=(BUILDKIT,),
    ),
    Case(
        name="copy-from",
        dockerfile="""FROM busybox AS one
RUN mkdir -p /src/d && echo x > /src/d/x && ln -s d /src/l && chown -R 9:9 /src
RUN chmod 2750 /src/d && ln /src/d/x /src/d/y
FROM busybox
COPY --from=one /src /dst
COPY --from=one src/d/x /relative
COPY --from=one /src/l /as-link
COPY --from=one /src/l/ /as-link-slash/
COPY --from=one /src/*/x /wild/
COPY --from=0 /src/d /index/
COPY --from=busybox /bin/busybox /image
COPY --from=one --chown=1:1 /src /owned
""",
    ),
    Case(
        name="copy-heredocs",
        dockerfile="""FROM busybox
ARG WHO=world
COPY <<one <<"two" <<-three /docs/
hello $WHO 'quoted' \\$WHO
one
raw $WHO
two
\t\ttabs
\tthree
COPY <<EOF /as/file
x
EOF
COPY --chmod=755 --chown=1:2 <<run.sh file /mixed/
#!/bin/sh
run.sh
ADD <<EOF /added
y
EOF
COPY <<$WHO /variable/
named
$WHO
""",
        files={"file": "f"},
        builders=(BUILDKIT,),
    ),
    Case(
        name="copy-special",
        dockerfile="FROM busybox\nCOPY . /all/\n",
        files={
            "xattr": File("x", xattrs={"user.test": b"value"}),
            "sticky": Directory(0o1755),
            "setgid": Directory(0o2755),
            "none": File("", 0),
            "empty": "",
        },
    ),
    Case(
        name="ignored",
        dockerfile="FROM busybox\nCOPY . /all/\nCOPY dir /dir/\n",
        files={
            **TREE,
            ".dockerignore": IGNORED,
        },
    ),
    Case(
        name="ignored-by-name",
        dockerfile="FROM busybox\nCOPY . /all/\n",
        files={**TREE, ".dockerignore": "*.sh\n", "Dockerfile.dockerignore": "dir\n"},
        builders=(BUILDKIT,),
    ),
    Case(
        name="add",
        dockerfile="""FROM busybox
ADD file /plain
ADD plain.tar /plain-tar/
ADD packed.tar.gz /gz
ADD packed.tar.bz2 packed.tar.xz /several/
ADD not-really.tar.gz /kept/
COPY plain.tar /copied/
ADD dir /dir
WORKDIR /w
ADD plain.tar .
""",
        files={
            **TREE,
            "plain.tar": archive(""),
            "packed.tar.gz": archive("gz", "g"),
            "packed.tar.bz2": archive("bz2", "b"),
            "packed.tar.xz": archive("xz", "x"),
            "not-really.tar.gz": "text\n",
        },
    ),
    Case(
        name="workdir-owners",
        dockerfile="""FROM busybox
USER daemon
WORKDIR /a/b
USER 7:8
WORKDIR c
RUN pwd > /tmp/pwd
USER root
WORKDIR /etc
""",
    ),
    Case(
        name="scratch-copy",
        dockerfile="FROM scratch\nCOPY file /\nCOPY dir /d/\nWORKDIR /w\n",
        files=TREE,
    ),
    Case(
        name="named-context",
        dockerfile="FROM busybox\nCOPY --from=other . /other/\nRUN --mount=from=other,target=/m cat /m/c.txt > /x\n",
        files=TREE,
        options=["--build-context", "other={secrets}/context/dir/sub", "{context}"],
        builders=(BUILDKIT,),
    ),
    Case(
        name="replaced-base",
        dockerfile="FROM nothing-like-it\nRUN echo x > /x\n",
        options=["--build-context", "nothing-like-it=docker-image://busybox", "{context}"],
        builders=(BUILDKIT,),
    ),
]
