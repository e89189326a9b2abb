"""metrics.jsonl as it is read again: unfinished lines, damage, rates."""

import pytest
from etils import epath

from jax_bt import errors
from jax_bt.train import history, workdir


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path)


def write(folder, steps, tail=""):
    lines = [{"step": step, "seconds": 2.0 * step, "loss": None} for step in range(steps)]
    (folder / history.FILE).write_text("".join(history.line(line) for line in lines) + tail)
    return lines


@pytest.mark.parametrize("tail", ["", '{"step": 7, "lo', '{"step": 7, "loss": 1}', "\x00\x00\n"])
def test_an_unfinished_last_line_is_left_out(folder, tail):
    """As a kill in the middle of a write leaves it, or a machine that stopped."""
    lines = write(folder, 7, tail)
    assert history.read(folder) == lines
    assert history.keep_before(folder, 4) == lines[:4] == history.read(folder)
    assert [path.name for path in folder.iterdir()] == [history.FILE]


def test_nothing_is_kept_before_step_0(folder):
    write(folder, 3)
    assert history.keep_before(folder, 0) == history.read(folder) == []
    assert history.read(folder / "never") == []


def test_damage_in_the_middle_is_named(folder):
    write(folder, 3)
    path = folder / history.FILE
    path.write_text(path.read_text().replace('"step": 1,', '"step": 1;'))
    with pytest.raises(errors.WorkdirError, match=r"metrics.jsonl line 2 is no metrics record"):
        history.keep_before(folder, 2)


def test_a_failed_replacement_leaves_the_file_whole(folder, monkeypatch):
    write(folder, 6)
    before = (folder / history.FILE).read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(workdir.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        history.keep_before(folder, 3)
    assert (folder / history.FILE).read_bytes() == before


def test_rates_and_seconds():
    """Images per second by the time that the lines stand for: 10 steps in 2 s, 5 in 4 s."""
    lines = [
        {"step": 0, "seconds": 60.0},
        {"step": 10, "seconds": 62.0, "images_per_second": 32 * 10 / 2.0},
        {"step": 15, "seconds": 66.0, "images_per_second": 32 * 5 / 4.0},
    ]
    assert history.rate(lines) == pytest.approx(32 * 15 / 6.0)
    assert history.total_seconds(lines) == 66.0
    assert history.rate(lines[:1]) == history.rate([]) == history.total_seconds([]) == 0.0
