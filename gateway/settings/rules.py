"""Rules and tests as the configuration writes them, and the `gateway.core` rules they become."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeAlias

from gateway.core.http.responses import Response
from gateway.core.permissions import ANYBODY, OWNED, OWNERS, Groups, Patterns, People, Permission
from gateway.core.rules.rules import Policy, Rule
from gateway.core.rules.templates import TemplateError, compile_regex, parse_template
from gateway.settings.addresses import ClientAddress, Network
from gateway.settings.amounts import Duration
from gateway.settings.fields import OneOrMore, Section, Written, setting
from gateway.settings.groups import (
    MARK,
    IndexPattern,
    Project,
    RuleGroup,
    RuleProject,
    User,
    Who,
)
from gateway.settings.problems import show

if TYPE_CHECKING:
    from pydantic import ConfigDict

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")


def _method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{show(text)} is not a valid method; a token such as GET or PUSH")
    if text != text.upper():
        raise ValueError(f"{show(text)}; methods are written in upper case: {text.upper()}")
    return text


def _template(text: str) -> str:
    try:
        parse_template(text)
    except TemplateError as error:
        raise ValueError(str(error)) from None
    return text


def _regex(text: str) -> str:
    try:
        compile_regex(text)
    except TemplateError as error:
        raise ValueError(str(error)) from None
    return text


def _media_type(text: str) -> str:
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError(
            f"{show(text)} is not a valid media type; lower case and without parameters, "
            "such as multipart/form-data"
        )
    return text


Method: TypeAlias = Annotated[
    str, Written(r"^[!#$%&'*+.^_`|~0-9A-Z-]+$", "a token such as GET or PUSH", _method)
]
Template: TypeAlias = Annotated[str, Written("^/", "a path from the first slash on", _template)]
PathRegex: TypeAlias = Annotated[str, Written(".", "a regex", _regex)]
MediaType: TypeAlias = Annotated[
    str,
    Written(f"^{_MEDIA_TYPE.pattern}$", "a media type such as multipart/form-data", _media_type),
]


_UPLOADS: Final = frozenset({Policy.PASS, Policy.TOKEN, Policy.AUTHENTICATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchModel(Section):
    """All conditions must hold; each holds when one of its entries does."""

    __pydantic_config__: ClassVar[ConfigDict] = {
        **Section.__pydantic_config__,
        "json_schema_extra": {"minProperties": 1},
    }

    methods: Annotated[tuple[Method, ...], OneOrMore(least=1)] | None = setting(
        "Request methods, in upper case.", None
    )
    path: Annotated[tuple[Template, ...], OneOrMore(least=1)] | None = setting(
        "Templates: {name} one segment, {name:regex} a constrained one, a final ** any rest.", None
    )
    path_regex: PathRegex | None = setting(
        "A regex the whole path matches; for what templates cannot say.", None
    )
    content_type: Annotated[tuple[MediaType, ...], OneOrMore(least=1)] | None = setting(
        "Media types, without parameters.", None
    )
    form: dict[str, Annotated[tuple[str, ...], OneOrMore(least=1)]] | None = setting(
        "Fields of an urlencoded or multipart body, with the values that fit.", None, min_length=1
    )
    networks: Annotated[tuple[Network, ...], OneOrMore(least=1)] | None = setting(
        "Where the client is: CIDRs.", None
    )
    users: Annotated[tuple[Who, ...], OneOrMore(least=1)] | None = setting(
        "Whom the credentials of the request name; * is whoever gives a name.", None
    )
    groups: Annotated[tuple[RuleGroup, ...], OneOrMore(least=1)] | None = setting(
        "A group whom they name somebody of; @owners are the groups that own the project.", None
    )
    projects: Annotated[tuple[RuleProject, ...], OneOrMore(least=1)] | None = setting(
        "Projects: names, patterns such as billing-*, @GROUP for what a group owns, @owned for "
        "what any group does.",
        None,
    )
    indexes: Annotated[tuple[IndexPattern, ...], OneOrMore(least=1)] | None = setting(
        "At devpi: USER/INDEX, with * and ? for any characters.", None
    )

    @property
    def by_people(self) -> bool:
        """Whether it matters who asks."""
        return self.users is not None or self.groups is not None

    def problem(self) -> str:
        names = [each.name for each in fields(self)]
        if all(getattr(self, name) is None for name in names):
            return "no condition, so it would match everything; at least one of " + ", ".join(names)
        if self.path is not None and self.path_regex is not None:
            return "both path and path_regex; one of them"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleModel(Section):
    """A rule as the file has it."""

    name: Annotated[str, Written(r"^[^\x00-\x1f]{1,100}$", "1 to 100 characters, one line")] = (
        setting("How messages and the audit trail call this rule.")
    )
    match: MatchModel = setting("Which requests it is for; all conditions must hold.")
    policy: Policy = setting("What they need.", strict=False)
    enforce: bool = setting(
        "With token: false lets passwords through for now, and counts who uploads with one "
        "(`check --uploads`).",
        True,
    )
    max_age: Duration | None = setting(
        "With second_factor: how old the second factor may be.", None
    )
    response: Response | None = setting(
        "How browsers are to treat the answer; the file's `response` if not said.",
        None,
        strict=False,
    )
    sandbox: bool = setting("The older way to write `response: documentation`.", False)

    session: bool | None = setting(
        "Whether a browser's session or a cookie of the index is enough for changes. If not, they "
        "take a token, or a password with a code. Without this key: only for kind form.",
        None,
    )

    unpacked: bool = setting(
        "With match.form: the index unpacks the files of this form. They go on only if they are "
        "ZIP archives in which no member leaves its folder.",
        False,
    )

    new_projects: Annotated[tuple[RuleGroup, ...], OneOrMore(least=1)] | None = setting(
        "Groups that may upload a project which the index does not have yet; with pass, token and "
        "authenticated.",
        None,
    )

    tell_who: bool = setting(
        "With users, groups or new_projects: a refusal says for whom it is.", False
    )

    def problem(self) -> str:
        if self.match.by_people and self.policy in (Policy.DENY, Policy.LOGIN):
            return f"users or groups with policy {self.policy}; one that lets them through"
        if self.new_projects is not None and self.policy not in _UPLOADS:
            return f"new_projects with policy {self.policy}; pass, token or authenticated"
        if self.tell_who and not (self.match.by_people or self.new_projects):
            return "tell_who without users, groups and new_projects; there is nobody to tell of"
        if self.unpacked and self.match.form is None:
            return "unpacked without match.form; only the files of a form are looked into"
        if self.sandbox and self.response is not None:
            return "both response and sandbox; response alone"
        if self.session is not None and self.policy in (Policy.DENY, Policy.LOGIN):
            return f"session with policy {self.policy}, which looks at none"
        if not self.enforce and self.policy is not Policy.TOKEN:
            return f"enforce: false with policy {self.policy}; only token can be tried out"
        if self.max_age is not None and self.policy is not Policy.SECOND_FACTOR:
            return f"max_age with policy {self.policy}; only second_factor has one"
        return ""

    def rule(
        self, position: str = "", *, session: bool = False, groups: Groups | None = None
    ) -> Rule:
        """The rule to match with. session: what holds where the rule does not say."""
        match = self.match
        form = match.form
        return Rule(
            name=self.name,
            policy=self.policy if self.enforce else Policy.PASS,
            methods=None if match.methods is None else frozenset(match.methods),
            paths=match.path or (),
            path_regex=match.path_regex,
            content_types=None if match.content_type is None else frozenset(match.content_type),
            form=None if form is None else tuple((k, frozenset(v)) for k, v in form.items()),
            networks=match.networks,
            max_age=self.max_age,
            unpacked=self.unpacked,
            tried=not self.enforce,
            response=Response.DOCUMENTATION if self.sandbox else self.response,
            session=session if self.session is None else self.session,
            rights=self._rights(groups or Groups()),
            position=position,
        )

    def _rights(self, groups: Groups) -> Permission | None:
        match = self.match
        asking = (match.users, match.groups, match.projects, match.indexes, self.new_projects)
        if all(each is None for each in asking):
            return None
        projects, owned = _projects(match.projects or (), groups)
        return Permission(
            groups,
            _people(match.users or (), match.groups or (), groups) if match.by_people else None,
            None if match.projects is None else projects,
            owned,
            None if match.indexes is None else Patterns.of(match.indexes),
            None if self.new_projects is None else _people((), self.new_projects, groups),
            self.tell_who,
        )


def _people(users: tuple[str, ...], named: tuple[str, ...], groups: Groups) -> People:
    known = [groups.named[name] for name in named if name in groups.named]
    said = tuple("whoever gives a name" if user == ANYBODY else user for user in users)
    said += tuple(
        "the group that owns it" if name == OWNERS else f"the group {name}" for name in named
    )
    return People(frozenset(users), tuple(known), ANYBODY in users, OWNERS in named, said)


def _projects(texts: tuple[str, ...], groups: Groups) -> tuple[Patterns, bool]:
    """The projects meant, and whether all that have owners are."""
    found = [text for text in texts if not text.startswith(MARK)]
    for text in texts:
        group = groups.named.get(text.removeprefix(MARK)) if text.startswith(MARK) else None
        if group is not None:
            found += (*group.projects.exact, *group.projects.globs)
    return Patterns.of(found), OWNED in texts


@dataclass(frozen=True, slots=True, kw_only=True)
class TestModel(Section):
    """One request and what must become of it."""

    __test__ = False  # pytest: not a test class

    request: Annotated[str, Written(r"^\S+ \S+$", "METHOD TARGET, as on the request line")] = (
        setting("METHOD TARGET, as on the request line.")
    )
    expect: Annotated[str, Written(".", "a rule, a policy, or a slug")] = setting(
        "The name of a rule, a policy, or the slug of a refusal."
    )
    form: dict[str, str] | None = setting("Fields of the body.", None)
    content_type: MediaType | None = setting("The media type of the body.", None)
    client: ClientAddress | None = setting("The address of the client.", None, name="from")
    user: User | None = setting("Whom its credentials name.", None)
    project: Project | None = setting("The project it is about, where the rest does not say.", None)
