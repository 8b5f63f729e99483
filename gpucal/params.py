"""Parameters: the fields of a step, their types checked, their comments as help."""

import dataclasses
import difflib
import inspect
import re
import types
import typing
from typing import Any

from gpucal.errors import ConfigError


def defaults(step_class):
    """Return {parameter: default} of a step."""
    return {field.name: field.default for field in dataclasses.fields(step_class)}


def build(step_class, values):
    """Return the step with these parameters; ConfigError names the first that is unknown or of the wrong type."""
    hints = typing.get_type_hints(step_class)
    known = [field.name for field in dataclasses.fields(step_class)]
    where = f"steps.{step_class.alias}"
    checked = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"{where}.{name}: no such parameter{suggest(name, known)}")
        checked[name] = check(f"{where}.{name}", value, hints[name])
    return step_class(**checked)


def check(where, value, hint):
    """Return value as the type hint wants it; ConfigError if it is of another kind."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            if value in typing.get_args(option):
                return value
        elif typing.get_origin(option) is list:
            if isinstance(value, list | tuple):
                return [check(where, element, typing.get_args(option)[0]) for element in value]
        elif option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        elif option is str and isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        elif option is tuple and isinstance(value, str | list | tuple):
            return (value,) if isinstance(value, str) else tuple(value)
        elif isinstance(value, option) and not (option is int and isinstance(value, bool)):
            return value
    raise ConfigError(f"{where}={value}: expected {describe(hint)}")


def describe(hint):
    """Say in words what values a type hint allows."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(describe(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(str(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return f"a list, each {describe(typing.get_args(hint)[0])}"
    names = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "a text",
        types.NoneType: "null",
        tuple: "a list",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def suggest(name, known):
    """Return " (did you mean X?)" for the known name most like this one, or an empty text."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def comments(step_class: Any):
    """Return {parameter: the comment behind its field}: its unit and meaning."""
    found: dict[str, str] = {}
    for cls in reversed(step_class.__mro__):
        if "comments" in vars(cls):  # of a class that was not written but made
            found |= vars(cls)["comments"]
        elif dataclasses.is_dataclass(cls):
            source = inspect.getsource(cls)  # type: ignore[arg-type]
            found |= dict(re.findall(r"^    (\w+): [^#\n]*(?:\n {8}[^#\n]*)*#\s*(.+)$", source, re.M))
    return found
