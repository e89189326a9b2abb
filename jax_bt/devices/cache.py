"""Keeps compiled programs on disk, so that the next start need not compile them again."""

import os
import pathlib

import jax


def keep_programs() -> None:
    """Uses the user's cache folder (``~/.cache/jax_bt/xla``) for programs that took a second or
    more to compile.

    JAX_COMPILATION_CACHE_DIR in the environment names another folder. One folder serves all
    devices and versions: they are part of a program's key. Without a writable folder, programs
    are compiled at each start.
    """
    if jax.config.jax_compilation_cache_dir:
        return
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(root) / "jax_bt" / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
