"""A run's folder: whose it is, and what happens when it cannot be written."""

import errno
import json
import pathlib

import pytest

from jax_bt import errors, workdir

CONFIG = {"seed": 0, "encoder": {"name": "resnet18", "width": 1}, "recipe": ("a", "b")}


def test_the_config_is_recorded_and_accepted_again(tmp_path):
    folder = tmp_path / "runs" / "a"
    workdir.prepare(folder, CONFIG, write=True)
    assert json.loads((folder / "config.json").read_text())["encoder"]["name"] == "resnet18"
    workdir.prepare(folder, CONFIG, write=True)


@pytest.mark.parametrize("write", [True, False])
def test_another_config_is_refused_with_what_differs(tmp_path, write):
    """By every process, the writing one or not; what is there stays."""
    workdir.prepare(tmp_path, CONFIG, write=True)
    before = (tmp_path / "config.json").read_bytes()
    other = {**CONFIG, "encoder": {"name": "resnet50", "width": 1}, "epochs": 3}
    with pytest.raises(errors.WorkdirError) as raised:
        workdir.prepare(tmp_path, other, write=write)
    said = str(raised.value)
    assert (
        "encoder.name: resnet18 recorded, resnet50 asked; epochs: absent recorded, 3 asked" in said
    )
    assert "--allow_config_change" in said and "seed" not in said
    assert (tmp_path / "config.json").read_bytes() == before
    workdir.prepare(tmp_path, other, write=write, allow_change=True)
    recorded = json.loads((tmp_path / "config.json").read_text())
    assert ("epochs" in recorded) == write


def test_a_process_that_does_not_write_leaves_nothing(tmp_path):
    workdir.prepare(tmp_path / "new", CONFIG, write=False)
    assert not (tmp_path / "new").exists()


def test_damaged_record(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(errors.WorkdirError, match="config.json is not valid JSON: remove it"):
        workdir.prepare(tmp_path, CONFIG, write=True)


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.WorkdirError, match="cannot write to .*file/run: Not a directory"):
        workdir.prepare(tmp_path / "file" / "run", CONFIG, write=True)


def test_a_full_disk_is_one_line():
    with pytest.raises(errors.WorkdirError, match="No space left on device. What it holds is"):
        with workdir.writing(pathlib.Path("somewhere")), open("/dev/full", "w") as full:
            full.write("x")


def test_other_errors_pass(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, workdir.writing(tmp_path):
        open(tmp_path / "missing")
    assert raised.value.errno == errno.ENOENT
