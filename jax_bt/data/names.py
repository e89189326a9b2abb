"""Checks the name of a data set before TensorFlow is imported, and suggests close ones.

Neither this file nor TFDS's list of names imports TensorFlow: a mistyped name is answered within
a second.
"""

import difflib
import os
from collections.abc import Sequence

import tensorflow_datasets as tfds
from tensorflow_datasets.core import naming

from jax_bt.errors import DataError

SMOKE = "jax_bt_smoke"  # the data set of smoke runs (sources/smoke.py)
# What people call a data set, and its name in TFDS.
ALSO_KNOWN_AS = {
    "imagenet": "imagenet2012",
    "imagenet1k": "imagenet2012",
    "ilsvrc2012": "imagenet2012",
    "cifar": "cifar10",
    "stl": "stl10",
    "places365": "places365_small",
    "inaturalist": "i_naturalist2018",
    "inat18": "i_naturalist2018",
    "inat2018": "i_naturalist2018",
    "flowers": "oxford_flowers102",
    "flowers102": "oxford_flowers102",
    "pets": "oxford_iiit_pet",
    "voc2007": "voc/2007",
    "voc07": "voc/2007",
}


def expand(path: str | os.PathLike) -> str:
    """A path with the home folder in place of ``~``, without a slash at the end."""
    text = os.path.expanduser(os.fspath(path))
    return text.rstrip("/") or text


def found(name: str, data_dir: str | os.PathLike | None) -> str:
    """The path of a name; a .npz file that is not there as it stands may be in ``data_dir``."""
    path = expand(name)
    if is_npz(path) and data_dir and not os.path.exists(path):
        inside = os.path.join(expand(data_dir), path)
        return inside if os.path.exists(inside) else path
    return path


def place(data_dir: str | os.PathLike | None) -> str:
    """Where TFDS data sets are prepared: as given, or TFDS's default."""
    return expand(data_dir or tfds.core.constants.DATA_DIR)


def check(name: str, data_dir: str | os.PathLike | None = None) -> None:
    """Refuses what can be neither a path nor a data set that is prepared or known to TFDS.

    Args:
      name: as for `jax_bt.data.load`.
      data_dir: where TFDS data sets are prepared.

    Raises:
      DataError: with close names.
    """
    if not name.strip():
        raise DataError("no data set given: set data.name to a name, a folder or a .npz file")
    path = found(name, data_dir)
    if name in ("digits", SMOKE) or "://" in path:
        return
    if os.path.exists(path):
        if os.path.isfile(path) and not is_npz(path):
            raise DataError(f"{path} is not a data set: give a .npz file or a folder of images")
        return
    if is_npz(path):
        raise DataError(f"no file {path}: check the path")
    if os.path.isabs(path) or name.startswith("."):
        raise DataError(f"no folder {path}: check the path")
    if not is_registered(name) and not _is_prepared(name, data_dir):
        raise DataError(_unknown(name, data_dir))


def is_npz(path: str) -> bool:
    """Whether a file is named like an archive of arrays."""
    return path.lower().endswith(".npz")


def is_registered(name: str) -> bool:
    """Whether TFDS can prepare a data set of this name."""
    return is_name(name) and base(name) in tfds.list_builders(with_community_datasets=False)


def is_name(name: str) -> bool:
    """Whether a text could name a TFDS data set: name, name/config or name/config:version."""
    try:
        naming.parse_builder_name_kwargs(name)
    except ValueError:  # "my-photos", "a/b/c"
        return False
    return True


def base(name: str) -> str:
    """The name without config and version."""
    return name.split("/")[0].split(":")[0]


def _is_prepared(name: str, data_dir: str | os.PathLike | None) -> bool:
    """Whether the folder of a name is there; a remote one is looked for later."""
    where = place(data_dir)
    return is_name(name) and ("://" in where or os.path.isdir(f"{where}/{base(name)}"))


def _unknown(name: str, data_dir: str | os.PathLike | None) -> str:
    where = place(data_dir)
    known = ["digits", *_prepared(where), *tfds.list_builders(with_community_datasets=False)]
    near = _near(name, known)
    hint = f"; close names: {', '.join(near)}" if near else ""
    return (
        f"no data set {name!r}: it is neither 'digits', a file or folder here, prepared in "
        f"{where}, nor known to TFDS{hint}"
    )


def _prepared(where: str) -> list[str]:
    return [e.name for e in os.scandir(where) if e.is_dir()] if os.path.isdir(where) else []


def _near(name: str, known: Sequence[str]) -> list[str]:
    plain = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    also = [ALSO_KNOWN_AS[plain]] if plain in ALSO_KNOWN_AS else []
    close = difflib.get_close_matches(name.lower(), known, n=3)
    same = [k for k in known if k.replace("_", "") == plain]
    return list(dict.fromkeys([*also, *same, *close]))[:3]
