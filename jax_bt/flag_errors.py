"""What people get wrong on the command line, and the one line that answers it."""

import difflib
import pathlib
import runpy

from ml_collections import ConfigDict


def explain(argv: list[str], error: Exception) -> str:
    """One line for flags that could not be parsed.

    Args:
      argv: the command line.
      error: what the flag parser raised.

    Returns:
      What is wrong, where, and the valid choices.
    """
    config_file, overrides = None, []
    for word in argv[1:]:
        name, _, value = word.lstrip("-").partition("=")
        if name == "config":
            config_file = value
        elif name.startswith("config."):
            overrides.append((name.removeprefix("config."), value))
    if config_file is None and overrides:
        return "--config.* overrides a config, but none is given: pass --config=FILE first"
    if config_file is not None:
        path, _, arg = config_file.partition(":")
        if not pathlib.Path(path).is_file():
            return f"no config file {path!r}{_closest_file(path)}"
        try:
            config = runpy.run_path(path)["get_config"](arg)
        except Exception as broken:
            return f"config file {path} fails with {type(broken).__name__}: {_first_line(broken)}"
        for name, value in overrides:
            if unknown := unknown_field(config, name):
                return unknown
            if f"--config.{name}" in str(error):
                return f"--config.{name}={value}: {_expected(config, name)}"
    return _first_line(error)


def _expected(config: ConfigDict, name: str) -> str:
    """The type a field has, with its value as the example."""
    for part in name.split("."):
        value = config = config[part]
    if isinstance(value, ConfigDict):
        return f"this is a group; set one of its fields: {', '.join(value.keys())}"
    return f"expected {type(value).__name__}, such as {value!r}"


def unknown_field(config: ConfigDict, name: str) -> str | None:
    """Says what is wrong with a dotted name that the config does not have; None if it has it."""
    node, seen = config, []
    for part in name.split("."):
        if not isinstance(node, ConfigDict):
            return f"config.{'.'.join(seen)} is a value, not a group: it has no {part!r}"
        if part not in node:
            where = ".".join(["config", *seen])
            close = difflib.get_close_matches(part, node.keys(), 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            valid = ", ".join(sorted(node.keys())) or "nothing"
            return f"{where} has no field {part!r}: {hint}it has {valid}"
        seen.append(part)
        node = node[part]
    return None


def _closest_file(path: str) -> str:
    folder = pathlib.Path(path).parent
    names = [str(p) for p in sorted(folder.glob("*.py"))] if folder.is_dir() else []
    close = difflib.get_close_matches(path, names, 3, cutoff=0.3)
    return f": did you mean {' or '.join(close)}?" if close else f": {folder} has none"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
