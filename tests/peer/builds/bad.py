"""Dockerfiles that cannot be built, or only some of the time."""

from tests.peer.builds.case import BUILDKIT, Case

JOE = "FROM busybox\nRUN echo joe:x:7:8::/:/bin/sh >> /etc/passwd\n"

PARSED = {
    "empty-file": "",
    "only-comments": "# nothing\n\n",
    "unknown": "FROM busybox\nFOO bar\n",
    "misspelt": "FORM busybox\n",
    "before-from": "RUN true\nFROM busybox\n",
    "from-nothing": "FROM\n",
    "from-two-words": "FROM busybox as\n",
    "stage-name": "FROM busybox AS 1a\n",
    "env-nothing": "FROM busybox\nENV\n",
    "env-one": "FROM busybox\nENV a\n",
    "env-no-equals": "FROM busybox\nENV a=b c\n",
    "env-no-name": "FROM busybox\nENV =b\n",
    "arg-nothing": "FROM busybox\nARG\n",
    "arg-no-name": "FROM busybox\nARG =b\n",
    "label-one": "FROM busybox\nLABEL a\n",
    "copy-one": "FROM busybox\nCOPY a\n",
    "add-nothing": "FROM busybox\nADD\n",
    "user-nothing": "FROM busybox\nUSER\n",
    "workdir-nothing": "FROM busybox\nWORKDIR\n",
    "expose-nothing": "FROM busybox\nEXPOSE\n",
    "volume-nothing": "FROM busybox\nVOLUME\n",
    "volume-empty": 'FROM busybox\nVOLUME [" "]\n',
    "shell-words": "FROM busybox\nSHELL /bin/sh -c\n",
    "shell-empty": "FROM busybox\nSHELL []\n",
    "json-numbers": "FROM busybox\nCMD [1, 2]\n",
    "onbuild-nothing": "FROM busybox\nONBUILD\n",
    "onbuild-onbuild": "FROM busybox\nONBUILD ONBUILD RUN x\n",
    "onbuild-from": "FROM busybox\nONBUILD FROM x\n",
    "health-nothing": "FROM busybox\nHEALTHCHECK\n",
    "health-kind": "FROM busybox\nHEALTHCHECK EXEC a\n",
    "health-no-command": "FROM busybox\nHEALTHCHECK CMD\n",
    "health-none-more": "FROM busybox\nHEALTHCHECK NONE x\n",
    "health-interval": "FROM busybox\nHEALTHCHECK --interval=x CMD a\n",
    "health-short": "FROM busybox\nHEALTHCHECK --interval=1us CMD a\n",
    "health-retries": "FROM busybox\nHEALTHCHECK --retries=-1 CMD a\n",
    "bad-escape": "# escape=x\nFROM busybox\n",
    "two-escapes": "# escape=`\n# escape=`\nFROM busybox\n",
    "long-line": f"FROM busybox\nRUN {'x' * 66000}\n",
    "maintainer-nothing": "FROM busybox\nMAINTAINER\n",
    "stopsignal-nothing": "FROM busybox\nSTOPSIGNAL\n",
}
"""For both builders."""

FLAGS = {
    "flag-unknown": "FROM busybox\nCOPY --nope a b\n",
    "flag-twice": "FROM busybox\nCOPY --chown=1 --chown=2 a b\n",
    "flag-no-value": "FROM busybox\nCOPY --from a b\n",
    "flag-of-cmd": "FROM busybox\nCMD --x=y z\n",
    "flag-boolean": "FROM busybox\nCOPY --link=maybe a b\n",
}
"""For both builders, whose texts say `--name` of flags in later versions."""

SOLVED = {
    "heredoc-open": "FROM busybox\nRUN <<E\nx\n",
    "heredoc-destination": "FROM busybox\nCOPY a <<E\nE\n",
    "network-mode": "FROM busybox\nRUN --network=foo true\n",
    "mount-kind": "FROM busybox\nRUN --mount=type=foo,target=/x true\n",
    "mount-key": "FROM busybox\nRUN --mount=type=bind,tagret=/x true\n",
    "mount-no-target": "FROM busybox\nRUN --mount=type=cache true\n",
    "mount-secret-nothing": "FROM busybox\nRUN --mount=type=secret true\n",
    "mount-from-variable": "FROM busybox\nARG x\nRUN --mount=from=$x,target=/y true\n",
    "mount-mode-of-bind": "FROM busybox\nRUN --mount=target=/y,mode=0700 true\n",
    "mount-sharing": "FROM busybox\nRUN --mount=type=cache,target=/y,sharing=x true\n",
    "mount-required-secret": "FROM busybox\nRUN --mount=type=secret,id=x,required true\n",
    "mount-not-there": "FROM busybox\nRUN --mount=from=busybox,source=/nope,target=/y true\n",
    "substitution-open": "FROM busybox\nENV a=${x\n",
    "substitution-required": "FROM busybox\nENV a=${x?is needed}\n",
    "substitution-bad": "FROM busybox\nENV a=${}\n",
    "quote-open": "FROM busybox\nENV a='b\n",
    "from-blank": "ARG x\nFROM $x\n",
    "from-platform": "FROM --platform=a/b/c/d busybox\n",
    "from-name": "FROM UPPER:x:y\n",
    "stage-of-later": "FROM busybox AS a\nCOPY --from=later /x /\nFROM busybox AS later\nFROM a\n",
    "stage-of-itself": "FROM busybox AS me\nCOPY --from=me /x /\n",
    "stage-number": "FROM busybox\nCOPY --from=7 /x /\n",
    "port": "FROM busybox\nEXPOSE x\n",
    "port-range": "FROM busybox\nEXPOSE 9-8\n",
    "port-protocol": "FROM busybox\nEXPOSE 9/foo\n",
    "signal": "FROM busybox\nSTOPSIGNAL SIGNOPE\n",
    "onbuild-bad": "FROM busybox AS a\nONBUILD FOO x\nFROM a\n",
    "copy-missing": "FROM busybox\nCOPY missing /\n",
    "copy-missing-of-two": "FROM busybox\nCOPY Dockerfile missing /x/\n",
    "copy-missing-from": "FROM busybox\nCOPY --from=busybox /missing /\n",
    "copy-dir-onto-file": "FROM busybox\nCOPY dir /etc/passwd\n",
    "copy-outside": "FROM busybox\nCOPY ../../etc/passwd /x\n",
    "workdir-onto-file": "FROM busybox\nWORKDIR /etc/passwd/x\n",
    "run-fails": "FROM busybox\nRUN exit 3\n",
    "run-fails-json": 'FROM busybox\nRUN ["sh", "-c", "echo said; exit 4"]\n',
    "run-nothing-there": 'FROM busybox\nRUN ["/nope"]\n',
    "run-user": "FROM busybox\nUSER nosuchuser\nRUN true\n",
    "run-no-shell": "FROM scratch\nRUN true\n",
    "add-checksum": "FROM busybox\nADD --checksum=sha256:x Dockerfile /\n",
}
"""For BuildKit alone: the classic builder has its own words, or does not look."""

OPTIONS = {
    "target-missing": ["--target", "nope"],
    "file-missing": ["-f", "{context}/Nope"],
    "platform": ["--platform", "linux/a/b/c"],
}

CLASSIC_FAILURES = {
    "c-run-fails": "FROM busybox\nRUN exit 3\n",
    "c-copy-missing": "FROM busybox\nCOPY missing /\n",
    "c-copy-two-to-file": "FROM busybox\nCOPY Dockerfile Dockerfile /x\n",
    "c-copy-none": "FROM busybox\nCOPY nope* /x\n",
    "c-copy-some-to-file": "FROM busybox\nCOPY D*file Dockerf* /x\n",
    "c-port": "FROM busybox\nEXPOSE x\n",
    "c-signal": "FROM busybox\nSTOPSIGNAL SIGNOPE\n",
    "c-substitution": "FROM busybox\nENV a=${x\n",
    "c-mount": "FROM busybox\nRUN --mount=type=cache,target=/x true\n",
    "c-chmod": "FROM busybox\nCOPY --chmod=700 Dockerfile /\n",
    "c-run-nothing-there": 'FROM busybox\nRUN ["/nope"]\n',
    "c-run-user": "FROM busybox\nUSER nosuchuser\nRUN true\n",
    "c-no-shell": "FROM scratch\nRUN true\n",
    "c-from-blank": "ARG x\nFROM $x\n",
    "c-scratch-nothing": "FROM scratch\n",
    "c-chown-user": "FROM busybox\nCOPY --chown=nosuch Dockerfile /\n",
    "c-chown-add": "FROM busybox\nADD --chown=nosuch:nosuch Dockerfile /\n",
    "c-chown-group": "FROM busybox\nCOPY --chown=root:nosuch Dockerfile /\n",
    "c-chown-number-group": "FROM busybox\nCOPY --chown=7:nosuch Dockerfile /\n",
    "c-chown-own-group": f"{JOE}COPY --chown=joe Dockerfile /\n",
    "c-chown-parts": "FROM busybox\nCOPY --chown=a:b:c Dockerfile /\n",
    "c-chown-no-group": "FROM busybox\nCOPY --chown=root: Dockerfile /\n",
    "c-chown-no-user": "FROM busybox\nCOPY --chown=:root Dockerfile /\n",
    "c-chown-no-files": "FROM scratch\nCOPY --chown=root Dockerfile /\n",
    "c-chown-no-files-user": "FROM scratch\nCOPY --chown=nosuch Dockerfile /\n",
    "c-chown-missing": "FROM busybox\nCOPY --chown=nosuch missing /\n",
    "c-chown-colon": "FROM busybox\nCOPY --chown=: Dockerfile /\n",
    "c-stages": "FROM busybox AS a\nFROM busybox AS b\nFROM busybox AS A\n",
    "c-stage-number": "FROM busybox\nCOPY --from=5 /x /\n",
    "c-stage-later": "FROM busybox\nCOPY --from=1 /x /\nFROM busybox\n",
    "c-stage-reference": "FROM busybox\nCOPY --from=a:b:c /x /\n",
    "c-stage-scratch": "FROM busybox\nCOPY --from=scratch /x /\n",
    "c-stage-itself-name": "FROM busybox AS a\nCOPY --from=a /x /\n",
    "c-from-name": "FROM UPPER:x:y\n",
    "c-stage-itself": "FROM busybox\nCOPY --from=0 /x /\n",
    "c-stage-negative": "FROM busybox\nCOPY --from=-1 /x /\n",
    "c-stage-name": "FROM busybox\nCOPY --from=Nope:x:y /x /\n",
    "c-run-user-group": "FROM busybox\nUSER root:nosuchgroup\nRUN true\n",
    "c-run-user-number": "FROM busybox\nUSER 99999999999\nRUN true\n",
}

CASES = [
    *(Case(name=name, dockerfile=text) for name, text in {**PARSED, **FLAGS}.items()),
    *(
        Case(name=name, dockerfile=text, files={"dir/x": "x"}, builders=(BUILDKIT,))
        for name, text in SOLVED.items()
    ),
    *(
        Case(name=name, dockerfile="FROM busybox\n", options=[*options, "{context}"], builders=(BUILDKIT,))
        for name, options in OPTIONS.items()
    ),
    *(Case(name=name, dockerfile=text, builders=("classic",)) for name, text in CLASSIC_FAILURES.items()),
]
