"""An object store in memory, where people have one in the cloud."""

import pytest
from etils import epath
from etils.epath import backend, gpath
from fsspec.implementations.memory import MemoryFileSystem


class Bucket(MemoryFileSystem):
    """Answers to gs://, and like an object store knows no appending."""

    store, pseudo_dirs = {}, [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("gs://"))

    def _open(self, path, mode="rb", **options):
        assert mode in ("rb", "wb"), mode
        return super()._open(path, mode, **options)


@pytest.fixture
def bucket(monkeypatch):
    """gs://bucket, as epath and what writes through it see it."""
    Bucket.store.clear()
    Bucket.pseudo_dirs[:] = [""]
    files = Bucket(skip_instance_cache=True)
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)
    local = backend.fsspec_backend.fs("/")
    monkeypatch.setattr(
        backend.fsspec_backend, "fs", lambda path: files if str(path).startswith("gs://") else local
    )
    path = epath.Path("gs://bucket")
    path.mkdir(parents=True, exist_ok=True)
    return path
