"""Rules and tests as the configuration writes them, and the `gateway.core` rules they become."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.core.rules import Policy, Rule
from gateway.core.templates import TemplateError, compile_regex, parse_template
from gateway.settings.addresses import Address, Network
from gateway.settings.amounts import Duration
from gateway.settings.text import OneOrMore, show

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")


def _method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{show(text)} is no method; a token such as GET or PUSH")
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
            f"{show(text)} is no media type; lower case and without parameters, "
            "such as multipart/form-data"
        )
    return text


Method = Annotated[str, AfterValidator(_method)]
Path = Annotated[str, AfterValidator(_template)]
PathRegex = Annotated[str, AfterValidator(_regex)]
MediaType = Annotated[str, AfterValidator(_media_type)]
_LISTED = OneOrMore()
_NOT_EMPTY = Field(min_length=1)
Values = Annotated[tuple[str, ...], _LISTED, _NOT_EMPTY]


class Part(BaseModel):
    """What all parts share: unknown keys are refused, nothing is converted, nothing changes.

    Built when first used: each part would be built again inside the whole otherwise.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


class MatchModel(Part):
    """All conditions must hold; each holds when one of its entries does."""

    methods: Annotated[tuple[Method, ...], _LISTED, _NOT_EMPTY] | None = Field(
        default=None, description="Request methods, in upper case."
    )
    path: Annotated[tuple[Path, ...], _LISTED, _NOT_EMPTY] | None = Field(
        default=None,
        description="Templates: {name} one segment, {name:regex} a constrained one, "
        "a final ** any rest.",
    )
    path_regex: PathRegex | None = Field(
        default=None, description="A regex the whole path matches; for what templates cannot say."
    )
    content_type: Annotated[tuple[MediaType, ...], _LISTED, _NOT_EMPTY] | None = Field(
        default=None, description="Media types, without parameters."
    )
    form: Annotated[dict[str, Values], _NOT_EMPTY] | None = Field(
        default=None,
        description="Fields of an urlencoded or multipart body, with the values that fit.",
    )
    networks: Annotated[tuple[Network, ...], _LISTED, _NOT_EMPTY] | None = Field(
        default=None, description="Where the client is: CIDRs."
    )

    @model_validator(mode="after")
    def _some(self) -> MatchModel:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(
                "no condition, so it would match everything; at least one of "
                f"{', '.join(type(self).model_fields)}"
            )
        if self.path is not None and self.path_regex is not None:
            raise ValueError("both path and path_regex; one of them")
        return self


class RuleModel(Part):
    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f]+$",
        description="How messages and the audit trail call this rule.",
    )
    match: MatchModel = Field(description="Which requests it is for; all conditions must hold.")
    policy: Literal["pass", "login", "second_factor", "token", "authenticated", "deny"] = Field(
        description="What they need."
    )
    max_age: Duration | None = Field(
        default=None, description="With second_factor: how old the second factor may be."
    )
    sandbox: bool = Field(
        default=False,
        description="The answer is a page written by users: browsers give it an origin of its own.",
    )

    @model_validator(mode="after")
    def _fits_policy(self) -> RuleModel:
        if self.max_age is not None and self.policy != "second_factor":
            raise ValueError(f"max_age with policy {self.policy}; only second_factor has one")
        return self

    def rule(self, position: str = "") -> Rule:
        match = self.match
        form = match.form
        return Rule(
            name=self.name,
            policy=Policy(self.policy),
            methods=None if match.methods is None else frozenset(match.methods),
            paths=match.path or (),
            path_regex=match.path_regex,
            content_types=None if match.content_type is None else frozenset(match.content_type),
            form=None if form is None else tuple((k, frozenset(v)) for k, v in form.items()),
            networks=match.networks,
            max_age=self.max_age,
            sandbox=self.sandbox,
            position=position,
        )


class TestModel(Part):
    """One request and what must become of it."""

    __test__ = False  # pytest: not a test class

    request: str = Field(pattern=r"^\S+ \S+$", description="METHOD TARGET, as on the request line.")
    expect: str = Field(
        min_length=1, description="The name of a rule, a policy, or the slug of a refusal."
    )
    form: dict[str, str] | None = Field(default=None, description="Fields of the body.")
    content_type: MediaType | None = Field(default=None, description="The media type of the body.")
    client: Address | None = Field(
        default=None, alias="from", description="The address of the client."
    )
