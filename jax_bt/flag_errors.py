"""Puts command lines in order for the flag parser, and explains those that it refuses."""

import difflib
import pathlib
import runpy
import traceback

from ml_collections import ConfigDict

from jax_bt.errors import UsageError

HERE = pathlib.Path(__file__).parent
# Beside the package in a clone, inside of it where it is installed.
CONFIGS = next((p for p in (HERE / "configs", HERE.parent / "configs") if p.is_dir()), HERE)


class CommandLine:
    """A command line in the order that ml_collections wants: the config, then its overrides.

    Attributes:
      argv: the program and its words, for the parser.
      config_file: path of the config, or None.
      config_argument: what stands behind the path's colon.
      overrides: (field, text) of every --config.FIELD=TEXT, in order.
      wants_help: whether -h or --help is there.
    """

    def __init__(self, argv: list[str]):
        words = _joined(argv[1:])
        self.wants_help = any(word in ("-h", "--help", "-help") for word in words)
        self.config_file, self.config_argument = None, ""
        self.overrides: list[tuple[str, str]] = []
        rest = []
        for word in words:
            name, equals, value = word.lstrip("-").partition("=")
            if not word.startswith("-"):
                rest.append(word)
            elif name == "config" and equals:
                path, _, self.config_argument = value.partition(":")
                self.config_file = _found(path)
            elif name.startswith("config."):
                self.overrides.append((name.removeprefix("config."), value if equals else "True"))
                if value != "None":
                    rest.append(word)
            else:
                rest.append(word)
        first = []
        if self.config_file is not None:
            first = [f"--config={':'.join(filter(None, [self.config_file, self.config_argument]))}"]
        self.argv = [argv[0], *first, *rest]

    @property
    def run_name(self) -> str:
        """Name of the run's folder: of the config, with its argument."""
        return "_".join(filter(None, [pathlib.Path(self.config_file).stem, self.config_argument]))


def explain(line: CommandLine, error: Exception) -> str:
    """One line for a command line that the flag parser refused.

    Args:
      line: the command line.
      error: what the parser raised.

    Returns:
      What is wrong, where, and the valid choices.
    """
    path = line.config_file
    if path is None and line.overrides:
        return "--config.* overrides a config, but none is given: pass --config=NAME first"
    if path is not None:
        if not pathlib.Path(path).is_file():
            return f"no config {path!r}{_closest_file(path)}"
        try:
            config = runpy.run_path(path)["get_config"](line.config_argument)
        except Exception as broken:
            return _broken_file(path, broken)
        for name, value in line.overrides:
            if unknown := unknown_field(config, name):
                return unknown
            if f"--config.{name}" in str(error):
                return f"--config.{name}={value}: {_expected(config, name)}"
    return _first_line(error)


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


def _joined(words: list[str]) -> list[str]:
    """The words with "--config FILE" written as one."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in ("--config", "-config") and not word.startswith("-"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _found(path: str) -> str:
    """The path of a config: as given, or of the config of that name that comes with the package."""
    given = pathlib.Path(path).expanduser()
    packaged = CONFIGS / f"{given.name.removesuffix('.py')}.py"
    by_name = given.parent.name in ("", "configs") and packaged.is_file()
    return str(packaged) if by_name and not given.is_file() else str(given)


def _broken_file(path: str, broken: Exception) -> str:
    """One line for a config file that raises."""
    frames = traceback.extract_tb(broken.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    where = f"config file {path}" + (f", line {lines[-1]}" if lines else "")
    if isinstance(broken, UsageError):
        return f"{where}: {broken}"
    text = " ".join(str(broken).split())
    if isinstance(broken, AttributeError | KeyError) and "config is locked" in text:
        name = text.split('"')[1]
        close = text.partition("Did you mean ")[2].split('"')[1:2]
        hint = f": did you mean {close[0]!r}?" if close else "; docs/config.md lists the fields"
        return f"{where}: there is no field {name!r}{hint}"
    return f"{where} fails with {type(broken).__name__}: {_first_line(broken)}"


def _expected(config: ConfigDict, name: str) -> str:
    """The type a field has, with its value as the example."""
    *groups, last = name.split(".")
    for part in groups:
        config = config[part]
    value, kind = config[last], config.get_type(last)
    if isinstance(value, ConfigDict):
        return f"this is a group; set one of its fields: {', '.join(value.keys())}"
    if value is None:
        return f"expected {kind.__name__} or None"
    return f"expected {kind.__name__}, such as {value!r}"


def _closest_file(path: str) -> str:
    folder = pathlib.Path(path).parent
    names = [str(p) for p in sorted(folder.glob("*.py"))] if folder.is_dir() else []
    names += sorted(p.stem for p in CONFIGS.glob("*.py"))
    close = difflib.get_close_matches(path, names, 3, cutoff=0.3)
    return f": did you mean {' or '.join(close)}?" if close else f": {folder} has none"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
