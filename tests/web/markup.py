"""Reads a page strictly and says what is wrong with it: a small HTML and accessibility judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})
LABELLED = frozenset({"input", "select", "textarea"})
HOME = "http://localhost"  # where people are led who came by another name
LANDMARKS = frozenset({"main", "header", "footer"})


@dataclass
class Element:
    """One element with its attributes; text is that of everything within it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Form:
    """action and method as written; fields: name to value, hidden ones included."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)


class Markup(HTMLParser):
    """A page taken apart. `wrong` lists every broken rule."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.forms: list[Form] = []
        self.wrong: list[str] = []
        self._open: list[Element] = []
        if not text.startswith("<!doctype html>\n"):
            self.wrong.append("no doctype")
        self.feed(text)
        self.close()
        self.wrong += [f"<{element.tag}> is never closed" for element in self._open]
        self._judge()

    # -- reading ---------------------------------------------------------------------------

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.wrong.append(f"<{tag}> repeats an attribute")
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag == "form":
            if any(outer.tag == "form" for outer in self._open):
                self.wrong.append("a form within a form")
            self.forms.append(self._form(element))
        if tag == "input" and any(outer.tag == "form" for outer in self._open):
            kind, name = element.attributes.get("type", "text"), element.attributes.get("name")
            chosen = kind not in ("checkbox", "radio") or "checked" in element.attributes
            if name and chosen:
                self.forms[-1].fields[name] = element.attributes.get("value", "")
        if tag not in VOID and not self._within_svg():
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open.pop()
        elif not self._within_svg():
            self.wrong.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def _within_svg(self) -> bool:
        return any(outer.tag == "svg" for outer in self._open)

    @staticmethod
    def _form(element: Element) -> Form:
        given = element.attributes
        data = {name[5:]: value for name, value in given.items() if name.startswith("data-")}
        return Form(given.get("action", ""), given.get("method", "get"), data=data)

    # -- judging ---------------------------------------------------------------------------

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def _judge(self) -> None:
        self._judge_frame()
        self._judge_references()
        self._judge_controls()
        self._judge_policy()

    def _judge_frame(self) -> None:
        for tag in ("html", "title", "h1", "main", "header", "footer"):
            if len(self.all(tag)) != 1:
                self.wrong.append(f"{len(self.all(tag))} <{tag}>")
        if not all(element.attributes.get("lang") for element in self.all("html")):
            self.wrong.append("no language")
        for element in [*self.all("title"), *self.all("h1"), *self.all("h2"), *self.all("a")]:
            if not (element.text.strip() or element.attributes.get("aria-label")):
                self.wrong.append(f"an empty <{element.tag}>")
        levels = [int(e.tag[1]) for e in self.elements if e.tag in ("h1", "h2", "h3")]
        if levels and (
            levels[0] != 1 or any(later - sooner > 1 for sooner, later in pairwise(levels))
        ):
            self.wrong.append(f"headings out of order: {levels}")

    def _judge_references(self) -> None:
        ids = [e.attributes["id"] for e in self.elements if "id" in e.attributes]
        self.wrong += [f"id {one!r} twice" for one in set(ids) if ids.count(one) > 1]
        for element in self.elements:
            for name in ("aria-describedby", "aria-labelledby", "for"):
                for one in element.attributes.get(name, "").split():
                    if one not in ids:
                        self.wrong.append(f"{name} names {one!r}, which is not there")

    def _judge_controls(self) -> None:
        labelled = {e.attributes.get("for") for e in self.all("label") if e.text.strip()}
        for element in self.elements:
            if element.tag not in LABELLED or element.attributes.get("type") == "hidden":
                continue
            if element.attributes.get("id") not in labelled:
                self.wrong.append(f"no label for {element.attributes}")
        for button in self.all("button"):
            if not button.text.strip():
                self.wrong.append("a button without words")
        for form in self.forms:
            if form.method == "post" and not form.fields.get("form_token"):
                self.wrong.append(f"no form token for {form.action}")

    def _judge_policy(self) -> None:
        for element in self.elements:
            bad = [n for n in element.attributes if n == "style" or n.startswith("on")]
            self.wrong += [f"<{element.tag} {name}> is against the policy" for name in bad]
            for name in ("href", "src", "action"):
                value = element.attributes.get(name, "/")
                if value.startswith("#"):
                    ids = [e.attributes.get("id") for e in self.elements]
                    self.wrong += [] if value[1:] in ids else [f"{value!r} leads nowhere"]
                elif not value.startswith(("/", "data:text/plain", "otpauth://", HOME)):
                    self.wrong.append(f"{name}={value!r} leaves this origin")
        for script in self.all("script"):
            if script.text.strip() or not script.attributes.get("src"):
                self.wrong.append("an inline script")
        if self.all("style"):
            self.wrong.append("an inline stylesheet")
