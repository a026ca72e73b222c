"""Dockerfiles that are about what images say of themselves, and about variables."""

from tests.peer.builds.case import BUILDKIT, CLASSIC, Case

CASES = [
    Case(
        name="env",
        dockerfile="""FROM busybox
ENV A=b C="d  e" F='$A' G=\\$A H=$A/${C} I=
ENV old  form  $A "quoted" \\
    continued
ENV A=changed B=$A
ENV PATH=/x:$PATH "K L"=m
ENV N=${A:-x}${NOPE:-y}${I:-z}${I:+w}${A:+v}
RUN env | grep -v HOSTNAME | sort > /env
""",
    ),
    Case(
        name="patterns",
        dockerfile="""FROM busybox
ENV V=a.b.c
ENV A=${V#*.} B=${V##*.} C=${V%.*} D=${V%%.*} E=${V-x}${NOPE-y}${V+z} F=${V?no}
""",
        builders=(BUILDKIT,),
    ),
    Case(
        name="replaced",
        dockerfile="FROM busybox\nENV V=a.b.c\nENV A=${V/./-} B=${V//./-} C=${V//[bc]/x} D=${V/b*/}\n",
        builders=(BUILDKIT,),
    ),
    Case(
        name="args",
        dockerfile="""ARG BASE=busybox
ARG GLOBAL=one
ARG DERIVED=${GLOBAL}two
FROM ${BASE}:latest
ARG GLOBAL
ARG DERIVED=three
ARG GIVEN
ARG WITH=default
ARG NONE
ENV E=$GLOBAL-$DERIVED-$GIVEN-$WITH-${NONE:-none}
RUN echo $GIVEN $WITH $GLOBAL > /args
ENV WITH=env
RUN echo $WITH > /with
LABEL with=$WITH
USER ${NONE:-root}
RUN true
""",
        options=[
            "--build-arg",
            "GIVEN=given",
            "--build-arg",
            "WITH=built",
            "--build-arg",
            "HTTP_PROXY=http://x",
        ],
    ),
    Case(
        name="arg-scopes",
        dockerfile="""FROM busybox AS one
ARG A=1
ENV B=$A
FROM one
LABEL a=$A b=$B
RUN echo "$A$B" > /x
ARG A
LABEL c=$A
""",
    ),
    Case(
        name="arg-several",
        dockerfile="FROM busybox\nARG A=1 B=2 C\nLABEL a=$A b=$B c=$C\nRUN echo $A $B $C >/x\n",
        options=["--build-arg", "C=3"],
        builders=(BUILDKIT,),
    ),
    Case(
        name="platform-args",
        dockerfile="""FROM --platform=$BUILDPLATFORM busybox
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT
LABEL a=$TARGETPLATFORM,$TARGETOS,$TARGETARCH,$TARGETVARIANT,$BUILDPLATFORM,$BUILDOS,$BUILDARCH,$BUILDVARIANT
""",
        builders=(BUILDKIT,),
    ),
    Case(
        name="labels",
        dockerfile="""FROM busybox
LABEL a=b "c d"="e f" g='h' i=
LABEL old form of it
LABEL multi="line \\
goes on"
LABEL a=$PATH
MAINTAINER Some One <one@example.com>
""",
        options=["--label", "given=x", "--label", "a=over"],
    ),
    Case(
        name="commands",
        dockerfile="""FROM busybox
CMD echo   "a"  $HOME
ENTRYPOINT ["/bin/sh", "-c"]
SHELL ["/bin/sh", "-ec"]
CMD exec sh
RUN echo $0 > /x
ENTRYPOINT run  it
""",
    ),
    Case(name="cmd-json", dockerfile='FROM busybox\nCMD ["a", "b c", "\\"d\\"", "é"]\n'),
    Case(name="cmd-empty", dockerfile="FROM busybox\nCMD []\n"),
    Case(name="cmd-broken-json", dockerfile="FROM busybox\nCMD ['a', 'b']\n"),
    Case(name="entrypoint-empty", dockerfile='FROM busybox\nENTRYPOINT ["a"]\nENTRYPOINT []\n'),
    Case(name="entrypoint-drops-cmd", dockerfile='FROM busybox\nENTRYPOINT ["a"]\n'),
    Case(name="entrypoint-keeps-cmd", dockerfile='FROM busybox\nCMD ["b"]\nENTRYPOINT ["a"]\n'),
    Case(name="stage-alone", dockerfile="FROM busybox AS a\nFROM a\n", builders=(CLASSIC,)),
    Case(
        name="entrypoint-of-stage",
        dockerfile='FROM busybox AS a\nCMD ["b"]\nFROM a\nENTRYPOINT ["c"]\n',
    ),
    Case(
        name="settings",
        dockerfile="""FROM busybox
EXPOSE 80 443/tcp 53/udp 8000-8003 9/sctp
ENV PORTS="1 2/udp"
EXPOSE $PORTS
VOLUME /a /b
VOLUME ["/c d", "/e"]
STOPSIGNAL SIGQUIT
STOPSIGNAL 9
USER daemon
USER 12:34
WORKDIR /w
WORKDIR rel/$PORTS
WORKDIR ../up/./x/
USER nobody:staff
WORKDIR /owned/by
""",
    ),
    Case(
        name="health",
        dockerfile="""FROM busybox
HEALTHCHECK --interval=1m30s --timeout=3s --start-period=500ms --start-interval=2s --retries=5 CMD wget  -q x || exit 1
""",
    ),
    Case(name="health-json", dockerfile='FROM busybox\nHEALTHCHECK CMD ["a", "b"]\n'),
    Case(name="health-none", dockerfile="FROM busybox\nHEALTHCHECK CMD a\nHEALTHCHECK NONE\n"),
    Case(
        name="onbuild",
        dockerfile="""FROM busybox AS base
ONBUILD ENV A=b
ONBUILD RUN echo $A > /trigger
ONBUILD COPY file /copied
FROM base
RUN cat /trigger /copied > /both
""",
        files={"file": "content\n"},
    ),
    Case(name="onbuild-left", dockerfile='FROM busybox\nONBUILD RUN a  b\nonbuild COPY ["a", "b"]\n'),
    Case(
        name="escape",
        dockerfile="# escape=`\nFROM busybox\nENV A=a\\b B=c`\n C=`$A\nRUN echo a `\n  b > /x\n",
    ),
    Case(
        name="lines",
        dockerfile="""
  # comment
FROM busybox

   RUN echo a \\
    # inside
    b \\

    c > /x
run  echo  d  &&\\
 echo e > /y\r
CMD x""",
    ),
    Case(name="mixed-case", dockerfile="from busybox As Stage\neNv a=b\nlabel C=D\nFROM stage\n"),
    Case(name="nothing-done", dockerfile="FROM busybox\n"),
    Case(
        name="target",
        dockerfile="FROM busybox AS one\nRUN echo 1 > /one\nFROM one AS two\nRUN echo 2 > /two\nFROM nope\n",
        options=["--target", "two"],
        builders=(BUILDKIT,),
    ),
    Case(
        name="epoch",
        dockerfile="FROM busybox\nRUN echo 1 > /one\nENV a=b\nCOPY Dockerfile /d\n",
        options=["--build-arg", "SOURCE_DATE_EPOCH=1234567890"],
        builders=(BUILDKIT,),
    ),
    Case(name="syntax", dockerfile="# check=skip=all\n# comment\nFROM busybox\nRUN true\n"),
    Case(
        name="stdin",
        dockerfile="FROM busybox\nLABEL not=this\n",
        files={"sub/Other": "FROM busybox\nLABEL it=is\nCOPY file /\n", "file": "x"},
        options=["-f", "sub/Other"],
    ),
]
