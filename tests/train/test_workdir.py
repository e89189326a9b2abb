"""A run's folder: who holds it, whose it is, and what happens when it cannot be written."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from etils import epath
from etils.epath import backend

from jax_bt import errors
from jax_bt.train import workdir
from jax_bt.train.workdir import Status

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = {
    "method": "vicreg",
    "seed": 0,
    "steps": None,
    "epochs": 2.0,
    "encoder": {"name": "resnet18", "width": 1},
    "recipe": ("a", "b"),
}
DATA = {"size": 340, "names": "5ca1ab1e"}


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path)


def prepare(folder, config=CONFIG, *, total_steps=100, data=DATA, **options):
    return workdir.prepare(folder, config, total_steps=total_steps, data=data, **options)


def finish(folder, steps):
    workdir.write_json(folder / "summary.json", {"steps": steps})


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def read(folder, name="config.json"):
    return json.loads((folder / name).read_text())


def test_a_home_and_a_bucket(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert str(workdir.path("~/runs/a")) == "/home/me/runs/a"
    assert str(workdir.path("runs/a")) == "runs/a"
    bucket = workdir.path("gs://bucket/run")
    assert str(bucket / "config.json") == "gs://bucket/run/config.json"
    assert workdir.remote(bucket) and not workdir.remote(workdir.path("/run"))
    with pytest.raises(errors.UsageError, match="hdfs://a/b cannot be used: give a local folder"):
        workdir.path("hdfs://a/b")


def test_a_new_run_is_recorded_and_goes_on(folder):
    assert prepare(folder) == Status.FRESH
    assert read(folder)["encoder"]["name"] == "resnet18"
    assert read(folder, "run.json") == {"total_steps": 100, "data": DATA}
    assert prepare(folder) == Status.UNFINISHED
    finish(folder, 100)
    before = content(folder)
    assert prepare(folder, reached=100) == Status.FINISHED
    assert content(folder) == before


def test_another_config_is_refused_with_what_differs(folder):
    prepare(folder)
    before = content(folder)
    other = {**CONFIG, "encoder": {"name": "resnet50", "width": 1}, "recipe": ("a",)}
    with pytest.raises(errors.WorkdirError) as raised:
        prepare(folder, other)
    said = str(raised.value)
    assert "encoder.name: resnet18 recorded, resnet50 asked; recipe: ['a', 'b'] recorded" in said
    assert "--allow_config_change" in said and "seed" not in said and "\n" not in said
    assert content(folder) == before
    assert prepare(folder, other, allow_change=True) == Status.UNFINISHED
    assert read(folder)["encoder"]["name"] == "resnet50"


@pytest.mark.parametrize("finished", [False, True])
def test_another_method_needs_another_folder(folder, finished):
    prepare(folder)
    if finished:
        finish(folder, 100)
    before = content(folder)
    other = CONFIG | {"method": "byol"}
    with pytest.raises(errors.WorkdirError, match="another method .vicreg recorded, byol asked"):
        prepare(folder, other, total_steps=200, allow_change=True)
    assert content(folder) == before


def test_a_release_may_add_and_remove_fields(folder):
    """A field that is new and has its default is no difference; one that is gone is named."""
    prepare(folder)
    newer = {**CONFIG, "encoder": {"name": "resnet18"}, "optimizer": {"drops": ()}}
    defaults = {"optimizer": {"drops": []}}
    with pytest.warns(UserWarning, match="no longer exist: encoder.width: 1 recorded"):
        assert prepare(folder, newer, defaults=defaults) == Status.UNFINISHED
    assert read(folder)["optimizer"] == {"drops": []}  # and known from now on
    newest = {**newer, "optimizer": {"drops": (), "momentum": 0.5}}
    with pytest.raises(errors.WorkdirError, match="momentum: absent recorded, 0.5 asked"):
        prepare(folder, newest, defaults={"optimizer": {"momentum": 0.9}})


def test_a_finished_run_is_extended(folder, capsys):
    prepare(folder)
    finish(folder, 100)
    longer = CONFIG | {"epochs": 4.0}
    assert prepare(folder, longer, total_steps=200, reached=100) == Status.EXTENDED
    assert "is extended from 100 to 200 steps" in capsys.readouterr().out
    assert read(folder)["epochs"] == 4.0 and read(folder, "summary_100.json") == {"steps": 100}
    assert not (folder / "summary.json").exists()
    # Killed on the way, it goes on; finished again, it is finished.
    assert prepare(folder, longer, total_steps=200, reached=150) == Status.UNFINISHED
    finish(folder, 200)
    assert prepare(folder, longer, total_steps=200, reached=200) == Status.FINISHED


def test_a_finished_run_without_checkpoints_cannot_go_on(folder):
    prepare(folder)
    finish(folder, 100)
    with pytest.raises(errors.WorkdirError, match="finished run without checkpoints, which cannot"):
        prepare(folder, total_steps=200, reached=0)


def test_an_unfinished_run_is_extended(folder, capsys):
    prepare(folder)
    asked = CONFIG | {"steps": 200, "epochs": None}
    assert prepare(folder, asked, total_steps=200, reached=50) == Status.UNFINISHED
    assert "from 100 to 200" in capsys.readouterr().out


def test_the_same_length_in_another_field_is_no_difference(folder):
    prepare(folder)
    finish(folder, 100)
    assert prepare(folder, CONFIG | {"steps": 100, "epochs": None}) == Status.FINISHED


@pytest.mark.parametrize("finished", [False, True])
def test_data_that_lie_elsewhere_are_no_difference(folder, finished):
    prepare(folder)
    if finished:
        finish(folder, 100)
    moved = {"data_dir": "/elsewhere", "download": True}
    asked = prepare(folder, CONFIG | {"data": moved})
    assert asked == (Status.FINISHED if finished else Status.UNFINISHED)
    with pytest.raises(errors.WorkdirError, match="another config: data.name: absent recorded"):
        prepare(folder, CONFIG | {"data": moved | {"name": "mnist"}})


@pytest.mark.parametrize("allow_change", [False, True])
def test_a_finished_run_is_neither_shortened_nor_relabelled(folder, allow_change):
    prepare(folder)
    finish(folder, 100)
    before = content(folder)
    options = {"reached": 100, "allow_change": allow_change}
    with pytest.raises(errors.WorkdirError, match="has taken 100 steps, more than the 60 asked"):
        prepare(folder, total_steps=60, **options)
    with pytest.raises(errors.WorkdirError, match="finished run with another config: seed: 0 reco"):
        prepare(folder, CONFIG | {"seed": 1}, **options)
    assert content(folder) == before


def test_an_unfinished_run_is_shortened_if_one_insists(folder):
    prepare(folder)
    with pytest.raises(errors.WorkdirError, match="another config: steps: 100 recorded, 60 asked"):
        prepare(folder, total_steps=60, reached=50)
    with pytest.raises(errors.WorkdirError, match="has taken 70 steps, more than the 60 asked for"):
        prepare(folder, total_steps=60, reached=70, allow_change=True)
    assert prepare(folder, total_steps=60, reached=50, allow_change=True) == Status.UNFINISHED
    assert read(folder, "run.json")["total_steps"] == 60


def test_data_that_changed(folder):
    """Also where other data make another number of steps of the same epochs."""
    prepare(folder)
    more = DATA | {"size": 360, "decoder": "new in the record"}
    for total_steps in (100, 106):
        with pytest.raises(errors.WorkdirError, match="began: size: 340 recorded, 360 found. Put"):
            prepare(folder, data=more, total_steps=total_steps)
    finish(folder, 100)
    with pytest.warns(UserWarning, match="data of this run have changed: size: 340 recorded, 360"):
        assert prepare(folder, data=more) == Status.FINISHED
    (folder / "summary.json").unlink()
    assert prepare(folder, data=more, total_steps=106, allow_change=True) == Status.UNFINISHED
    assert read(folder, "run.json")["data"] == more


def test_a_run_of_an_older_release_has_no_run_json(folder):
    prepare(folder)
    (folder / "run.json").unlink()
    with pytest.raises(errors.WorkdirError, match="epochs: 2.0 recorded, 4.0 asked"):
        prepare(folder, CONFIG | {"epochs": 4.0}, total_steps=200)
    finish(folder, 100)
    longer = CONFIG | {"epochs": 4.0}
    assert prepare(folder, longer, total_steps=200, reached=100) == Status.EXTENDED


def test_damaged_record(folder):
    (folder / "config.json").write_text('{"seed": ')
    with pytest.raises(errors.WorkdirError, match="config.json is not valid JSON: remove it"):
        prepare(folder)


HOLDER = """
import sys, time
from etils import epath
from etils.epath import backend
from jax_bt.train import workdir
with workdir.held(epath.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time(folder):
    """The second one says who holds the folder; a killed holder leaves it free."""
    folder = folder / "new" / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout.readline() == "held\n"
        said = f"run is in use by process {child.pid} on .* since 2.*Wait for its end, stop it, or"
        with pytest.raises(errors.WorkdirError, match=said), workdir.held(folder):
            pass
        child.send_signal(signal.SIGKILL)
    for _ in range(2):  # and is free again after each
        with workdir.held(folder):
            with pytest.raises(errors.WorkdirError, match=f"process {os.getpid()} on"):
                with workdir.held(folder):  # another thread of the same program
                    pass


def test_a_bucket(bucket):
    """The same record; two runs are not kept apart."""
    folder = bucket / "runs" / "a"
    with workdir.held(folder), workdir.held(folder):
        assert prepare(folder) == Status.FRESH
    with pytest.raises(errors.WorkdirError, match="seed: 0 recorded, 1 asked"):
        prepare(folder, CONFIG | {"seed": 1})
    finish(folder, 100)
    assert prepare(folder, total_steps=200, reached=100) == Status.EXTENDED
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "run.json",
        "summary_100.json",
    ]


def test_a_bucket_out_of_reach(bucket, monkeypatch):
    """Whatever its client says, in one line."""

    def refuse(*_, **__):
        raise RuntimeError("no credentials\nlong story")

    monkeypatch.setattr(type(backend.fsspec_backend.fs("gs://")), "makedirs", refuse)
    with pytest.raises(errors.WorkdirError, match="gs://bucket/a: no credentials. Choose another"):
        with workdir.held(bucket / "a"):
            pass


def test_a_folder_that_cannot_be(folder):
    (folder / "file").write_text("")
    with pytest.raises(errors.WorkdirError, match="cannot write to .*file/run: Not a directory"):
        with workdir.held(folder / "file" / "run"):
            pass


def test_a_full_disk_is_one_line():
    with pytest.raises(errors.WorkdirError, match="No space left on device. What it holds is"):
        with workdir.writing(epath.Path("somewhere")), open("/dev/full", "w") as full:
            full.write("x")


def test_other_errors_pass(folder):
    with pytest.raises(FileNotFoundError) as raised, workdir.writing(folder):
        open(folder / "missing")
    assert raised.value.errno == errno.ENOENT
