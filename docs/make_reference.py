"""Writes docs/reference/ from the schema and the command line: `python docs/make_reference.py`.

Keys, types, defaults and explanations are those of the classes that check a file: the pages cannot say anything else.
`--check` writes nothing and ends with exit code 1 where a page is out of date.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import typer
from pydantic import BaseModel
from typer.cli import get_docs_for_click

from paw_bench.cli import app
from paw_bench.config.environments import find, names
from paw_bench.config.experiment_file import ExperimentSpec, ScaleSpec
from paw_bench.config.profile import ClusterProfile
from paw_bench.config.schema import EnvironmentConfig, ExecutionConfig, ExperimentConfig
from paw_bench.tune.spec import StudySpec

FOLDER = Path(__file__).parent / "reference"
WORDS = {
    "int": "whole number",
    "float": "number",
    "str": "text",
    "bool": "`true`, `false`",
    "Any": "anything",
    "Name": "name",
    "PositiveInt": "whole number ≥ 1",
    "NonNegativeInt": "whole number ≥ 0",
    "NonNegative": "number ≥ 0",
    "Positive": "number > 0",
    "Fraction": "number from 0 to 1",
    "PositiveFraction": "number > 0, ≤ 1",
    "Time": "[days-]hours:minutes:seconds",
}
"""Names of the schema's bounded types, as a reader of YAML would say them."""
NOTE = "<!-- Written by docs/make_reference.py: change the code, then run it again. -->\n\n"


def pages() -> dict[str, str]:
    """Every page of the reference by file name."""
    run = _intro("The keys of a run", "`base`, arms, axes and `--set` change `experiment`; `execution` is apart.")
    run += _section("experiment", ExperimentConfig, level=2, prefix="")
    run += _section("execution", ExecutionConfig, level=2, prefix="execution.")
    files = _intro("The files one writes", "Unknown keys are refused with file, line and the nearest known one.")
    files += _section("Experiment file", ExperimentSpec, level=2, prefix="")
    files += _section("Scale file", ScaleSpec, level=2, prefix="")
    files += _section("Study file of `paw-bench tune`", StudySpec, level=2, prefix="")
    files += _section("Cluster profile", ClusterProfile, level=2, prefix="")
    return {"run.md": run, "files.md": files, "environments.md": _environments(), "cli.md": _command_line()}


def _intro(title: str, text: str) -> str:
    return f"{NOTE}# {title}\n\n{text}\n"


def _section(title: str, section: type[BaseModel], *, level: int, prefix: str) -> str:
    """A heading, a table of the section's own keys, and its sections one after the other."""
    explained, shown, below = _source(section), [], ""
    for key, field in section.model_fields.items():
        annotation, default, text = explained[key]
        inner = next((part for part in (field.annotation, *_parts(field.annotation)) if _is_section(part)), None)
        if inner is not None and field.annotation is inner:
            below += _section(f"`{prefix}{key}`", inner, level=level + 1, prefix=f"{prefix}{key}.")
            continue
        shown.append(f"| `{prefix}{key}` | {annotation} | {default} | {text} |")
        if inner is not None:
            one = get_origin(field.annotation) is not dict
            named = f"`{prefix}{key}`" if one else f"Each of `{prefix}{key}`"
            below += _section(named, inner, level=level + 1, prefix=f"{prefix}{key}." if one else "")
    head = inspect.cleandoc(section.__doc__ or "").replace("\n", " ")
    table = ["| key | type | default | meaning |", "|---|---|---|---|", *shown] if shown else []
    return "\n".join(["", f"{'#' * min(level, 4)} {title}", "", head, "", *table, ""]) + below


def _parts(annotation: Any) -> list[Any]:
    """The types inside `list[...]`, `dict[..., ...]`, `... | None`, however deep."""
    found = []
    for part in get_args(annotation) if get_origin(annotation) else ():
        found += [part, *_parts(part)]
    return found


def _is_section(part: Any) -> bool:
    return inspect.isclass(part) and issubclass(part, BaseModel)


def _source(section: type[BaseModel]) -> dict[str, tuple[str, str, str]]:
    """Key -> (type, default, explanation), as the class and those that it extends say them."""
    found: dict[str, tuple[str, str, str]] = {}
    for owner in reversed(section.__mro__[: section.__mro__.index(BaseModel)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body  # type: ignore[attr-defined]
        for place, statement in enumerate(body):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            after = body[place + 1] if place + 1 < len(body) else None
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            key = statement.target.id
            found[key] = (_type(statement.annotation), _default(section, key), _cell(inspect.cleandoc(said)))
    return found


def _type(annotation: ast.expr) -> str:  # noqa: PLR0911
    """A type in words: its values, its bounds, what a list or a mapping holds."""
    match annotation:
        case ast.BinOp(left=left, right=right):
            return f"{_type(left)} or {_type(right)}"
        case ast.Constant(value=None):
            return "`null`"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return ", ".join(f"`{value.value}`" for value in values if isinstance(value, ast.Constant))
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
            return _type(first)
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            return f"list of {_type(inner)}"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[_, inner])):
            return f"name: {_type(inner)}"
        case ast.Name(id=name):
            return WORDS.get(name, f"`{name}`")
    return f"`{_cell(ast.unparse(annotation))}`"


def _default(section: type[BaseModel], key: str) -> str:
    field = section.model_fields[key]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return ""
    said = str(value).lower() if isinstance(value, bool) else "null" if value is None else _cell(str(value))
    return f"`{said}`" if said else "empty"


def _cell(text: str) -> str:
    return text.replace("\n\n", " ").replace("\n", " ").replace("|", "\\|")


def _environments() -> str:
    page = _intro("Options of the environments", "The keys of `environment.options`. ALFWorld has `environment.games`.")
    for name in names():
        kind = find(name)
        if type(kind).__module__.startswith("paw_bench.") and name != "alfworld":
            sizes = ", ".join(f"{panel} {size}" for panel, size in kind.sizes(EnvironmentConfig(name=name)).items())
            page += _section(f"`{name}`", kind.options, level=2, prefix="") + f"\nPanels by default: {sizes}.\n"
    return page


def _command_line() -> str:
    """typer's own Markdown, without the commands that only jobs call."""
    group = typer.main.get_command(app)
    group.commands = {name: command for name, command in group.commands.items() if not command.hidden}  # type: ignore[attr-defined]
    text = get_docs_for_click(obj=group, ctx=click.Context(group), name="paw-bench")
    text = text.replace("[bold]Examples:[/bold]", "Examples:").replace("\\[", "[")
    return NOTE + text.rstrip() + "\n"


def main() -> int:
    """Write the pages, or with `--check` say which are out of date."""
    made = pages()
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in made.items() if not _is(FOLDER / name, text)]
        print(*(f"docs/reference/{name} is out of date: run python docs/make_reference.py" for name in stale), sep="\n")
        return int(bool(stale))
    FOLDER.mkdir(exist_ok=True)
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
