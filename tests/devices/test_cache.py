"""Compiled programs are kept in the user's cache folder, unless another is named."""

import jax
import pytest

from jax_bt.devices import cache


@pytest.fixture
def unset():
    """As in a process whose environment names no folder."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_in_the_users_cache(unset, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.keep_programs()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jax_bt" / "xla")
    assert (tmp_path / "jax_bt" / "xla").is_dir()


def test_not_where_nothing_can_be_written(unset, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    cache.keep_programs()
    assert jax.config.jax_compilation_cache_dir is None


def test_a_named_folder_stays(unset, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    cache.keep_programs()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path)
