"""Checks of what is in a stage: the variables of its instructions, and what each says."""

import re

import msgspec

import errdefs
from engine.build.dockerfile import expand as words
from engine.build.dockerfile import mounts
from engine.build.dockerfile.checks import rules
from engine.build.dockerfile.checks.copying import check_sources
from engine.build.dockerfile.checks.reporting import Report
from engine.build.dockerfile.checks.rules import Rule
from engine.build.dockerfile.checks.scene import Scene
from engine.build.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    HealthCheck,
    Instruction,
    Label,
    Run,
    Shell,
    Transfer,
    Workdir,
)
from engine.build.dockerfile.text import quoted, suggestion

_SECRETS = "apikey|auth|credentials?|key|password|pword|passwd|secret|token"
_SECRET = re.compile(f"(?:_|^)(?:{_SECRETS})(?:_|$)", re.IGNORECASE)
_HARMLESS = re.compile("(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)


class StageState(msgspec.Struct, kw_only=True):
    """What is known at an instruction: the next stage on this one goes on from it. `declared` are the ARGs so far."""

    variables: dict[str, str] = msgspec.field(default_factory=dict)
    declared: set[str] = msgspec.field(default_factory=set)
    shell: bool = False
    workdir: bool = False

    def copy(self) -> "StageState":
        """For a stage on this one."""
        return StageState(
            variables=dict(self.variables),
            declared=set(self.declared),
            shell=self.shell,
            workdir=self.workdir,
        )


class StageCheck:
    """Goes through the instructions of one stage in their order."""

    def __init__(self, state: StageState, scene: Scene, escape: str, report: Report) -> None:
        self._state = state
        self._scene = scene
        self._escape = escape
        self._report = report
        self._seen: dict[type[Instruction], Instruction] = {}

    def take(self, instruction: Instruction) -> None:
        """Check one, and know what it sets. What cannot be expanded is for others to refuse."""
        unset: set[str] = set()
        try:
            if isinstance(instruction, Arg):
                self._take_arguments(instruction, unset)
                expanded: Instruction = instruction
            else:
                expanded = self._expanded(instruction, unset)
            self._tell_unset(instruction, unset)
            self._check(expanded)
        except errdefs.InvalidArgument:
            return

    def _expanded(self, instruction: Instruction, unset: set[str]) -> Instruction:
        variables = self._state.variables

        def expand(word: str) -> str:
            return words.expand(word, variables, self._escape, unset)

        if isinstance(instruction, Run):
            for mount in instruction.mounts:
                mounts.parse_mount(mount, expand)
        if isinstance(instruction, Transfer):
            for file in instruction.files:
                if file.expand:
                    words.expand_text(file.content, variables, unset)
        return instruction.expanded(expand)

    def _take_arguments(self, instruction: Arg, unset: set[str]) -> None:
        for argument in instruction.arguments:
            self._check_secret("ARG", argument.name, instruction)
            value = self._scene.given.get(argument.name)
            if value is None and argument.default is None:
                value = self._scene.variables.get(argument.name)
            elif value is None and argument.default is not None:
                value = words.expand(argument.default, self._state.variables, self._escape, unset)
            if value is not None:
                self._state.variables[argument.name] = value
            self._state.declared.add(argument.name)

    def _tell_unset(self, instruction: Instruction, unset: set[str]) -> None:
        for name in sorted(unset - self._state.declared):
            near = suggestion(name, self._state.variables)
            meant = f" (did you mean ${near}?)" if near else ""
            self._add(rules.UNDEFINED_VAR, instruction, f"Usage of undefined variable '${name}'{meant}")

    def _check(self, instruction: Instruction) -> None:
        if isinstance(instruction, Env | Label):
            self._check_pairs(instruction)
        if isinstance(instruction, Cmd | Entrypoint | HealthCheck):
            self._check_only(instruction)
        if isinstance(instruction, Cmd | Entrypoint) and instruction.shell and not self._state.shell:
            problem = "to prevent unintended behavior related to OS signals"
            text = f"JSON arguments recommended for {instruction.keyword} {problem}"
            self._add(rules.JSON_ARGS_RECOMMENDED, instruction, text)
        if isinstance(instruction, Shell):
            self._state.shell = True
        if isinstance(instruction, Workdir):
            self._check_workdir(instruction)
        if isinstance(instruction, Expose):
            self._check_ports(instruction)
        if isinstance(instruction, Transfer):
            check_sources(instruction, self._scene.ignore, self._report)

    def _check_pairs(self, instruction: Env | Label) -> None:
        keyword = instruction.keyword
        for pair in instruction.pairs:
            if pair.old_form:
                text = f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format'
                self._add(rules.LEGACY_KEY_VALUE_FORMAT, instruction, text)
            if isinstance(instruction, Env):
                self._check_secret("ENV", pair.key, instruction)
                self._state.variables[pair.key] = pair.value

    def _check_secret(self, kind: str, name: str, instruction: Instruction) -> None:
        if _SECRET.search(name) and not _HARMLESS.search(name):
            text = f"Do not use ARG or ENV instructions for sensitive data ({kind} {quoted(name)})"
            self._add(rules.SECRETS_USED_IN_ARG_OR_ENV, instruction, text)

    def _check_only(self, instruction: Instruction) -> None:
        before = self._seen.get(type(instruction))
        if before is not None:
            why = "should not be used in the same stage because only the last one will be used"
            text = f"Multiple {instruction.keyword} instructions {why}"
            self._report.add(
                rules.MULTIPLE_INSTRUCTIONS_DISALLOWED, before.position, text, instruction.comments
            )
        self._seen[type(instruction)] = instruction

    def _check_workdir(self, instruction: Workdir) -> None:
        if not self._state.workdir and not instruction.path.startswith("/"):
            why = "can have unexpected results if the base image changes"
            self._add(
                rules.WORKDIR_RELATIVE_PATH, instruction, f"Relative workdir {quoted(instruction.path)} {why}"
            )
        self._state.workdir = True

    def _check_ports(self, instruction: Expose) -> None:
        for port in instruction.ports:
            for spec in words.expand_words(port, self._state.variables, self._escape):
                host, _, container = spec.rpartition(":")
                protocol = container.partition("/")[2]
                if protocol != protocol.lower():
                    text = f"Defined protocol '{spec}' in EXPOSE instruction should be lowercase"
                    self._add(rules.EXPOSE_PROTO_CASING, instruction, text)
                if host.strip(":"):
                    what = "should not define an IP address or host-port mapping"
                    text = f"EXPOSE instruction {what}, found '{spec}'"
                    self._add(rules.EXPOSE_INVALID_FORMAT, instruction, text)

    def _add(self, rule: Rule, instruction: Instruction, text: str) -> None:
        self._report.add(rule, instruction.position, text, instruction.comments)
