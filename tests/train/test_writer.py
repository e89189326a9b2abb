"""The metrics file on every road to it, and what a terminal and a log file show."""

import io
import json
import math
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from jax_bt import metrics


class Terminal(io.StringIO):
    def isatty(self):
        return True


def strict(path):
    """Parses as a strict reader would: NaN and Infinity are no JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} in {path}")

    lines = path.read_text().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


def run(workdir, total, start=0, stop=None, **options):
    options = {"progress": False, "tensorboard": False, **options}
    with metrics.Writer(workdir, total, start, **options) as writer:
        for step in range(start, total if stop is None else stop):
            writer.write(step, {"loss": 10.0 * start + step})


def test_lines_are_numbers_of_any_kind(tmp_path):
    with metrics.Writer(tmp_path, 3, progress=False) as writer:
        writer.write(0, {"loss": jnp.float32(0.1), "rate": 1 / 3, "count": np.int64(2**40)})
        writer.write(1, {"loss": np.float32("nan"), "rate": math.inf, "flag": np.True_})
        writer.write(2, {"loss": jnp.bfloat16(0.5)[None], "rate": -jnp.inf})
    lines = strict(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert lines[0]["loss"] == 0.1  # the float32's own shortest decimals
    assert np.float32(lines[0]["loss"]) == np.float32(0.1)
    assert lines[0]["rate"] == 1 / 3 and lines[0]["count"] == 2**40
    assert lines[1]["loss"] is None and lines[1]["rate"] is None and lines[1]["flag"] == 1
    assert lines[2]["loss"] == 0.5 and lines[2]["rate"] is None
    assert all(line["seconds"] >= 0 for line in lines)
    assert metrics.read(tmp_path) == lines


def test_every_step_is_on_disk_at_once(tmp_path):
    with metrics.Writer(tmp_path, 5, progress=False, tensorboard=False) as writer:
        writer.write(0, {"loss": 1.0})
        assert len(strict(tmp_path / "metrics.jsonl")) == 1


@pytest.mark.parametrize("tail", ["", '{"step": 7, "lo', '{"step": 7, "loss": 1}', "\x00\x00\n"])
def test_resuming_keeps_each_step_once(tmp_path, tail):
    run(tmp_path, 10, stop=7)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write(tail)  # what a kill in the middle of a write leaves
    run(tmp_path, 10, start=4)
    lines = strict(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(10))
    assert [line["loss"] for line in lines] == [0, 1, 2, 3, 44, 45, 46, 47, 48, 49]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_fresh_start_forgets_the_old_run(tmp_path):
    run(tmp_path, 5)
    run(tmp_path, 2)
    assert [line["step"] for line in strict(tmp_path / "metrics.jsonl")] == [0, 1]


def test_a_failed_resume_leaves_the_file_whole(tmp_path, monkeypatch):
    run(tmp_path, 6)
    before = (tmp_path / "metrics.jsonl").read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(metrics.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        run(tmp_path, 6, start=3)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_damage_in_the_middle_is_named(tmp_path):
    run(tmp_path, 3)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text().replace('"step": 1,', '"step": 1;'))
    with pytest.raises(ValueError, match=r"metrics.jsonl line 2 is no metrics record"):
        run(tmp_path, 3, start=2)


def test_says_what_is_wrong(tmp_path):
    with metrics.Writer(tmp_path, 9, progress=False, tensorboard=False) as writer:
        writer.write(4, {"loss": 1.0})
        with pytest.raises(ValueError, match="step 4 comes after step 4"):
            writer.write(4, {"loss": 1.0})
        with pytest.raises(ValueError, match="seconds is set by the writer"):
            writer.write(5, {"seconds": 1.0})
        with pytest.raises(ValueError, match=r"loss must be one number, got float64 of shape \(2,"):
            writer.write(5, {"loss": np.ones(2)})
        with pytest.raises(ValueError, match="name must be one number"):
            writer.write(5, {"name": "barlow"})


def test_rates_leave_out_compilation_and_pauses(tmp_path, monkeypatch):
    clock = iter([0.0, 60.0, 62.0, 63.0, 163.0, 165.0])
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: next(clock))
    with metrics.Writer(tmp_path, 99, batch_size=32, progress=False, tensorboard=False) as writer:
        writer.write(0, {})  # at 60 s, of which 60 compiled
        writer.write(10, {})  # at 62 s: 10 steps of 32 images in 2 s
        with writer.pause():  # from 63 s to 163 s
            pass
        writer.write(25, {})  # at 165 s: 15 steps of 32 in 3 s of training
    rates = [line.get("images_per_second") for line in strict(tmp_path / "metrics.jsonl")]
    assert rates == [None, 160.0, 160.0]
    history = metrics.read(tmp_path)
    assert metrics.rate(history) == 160.0 and metrics.total_seconds(history) == 165.0
    assert metrics.rate(history[:1]) == metrics.rate([]) == metrics.total_seconds([]) == 0.0


def test_seconds_go_on_where_the_kept_lines_end(tmp_path, monkeypatch):
    clock = iter([0.0, 5.0, 9.0, 1000.0, 1002.0])
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: next(clock))
    run(tmp_path, 9, stop=2)
    run(tmp_path, 9, start=1, stop=2)
    assert [line["seconds"] for line in strict(tmp_path / "metrics.jsonl")] == [5.0, 7.0]


def test_a_terminal_gets_one_bar(tmp_path, capsys):
    stream = Terminal()
    with metrics.Writer(
        tmp_path, 30, batch_size=8, shown=["loss", "rate"], tensorboard=False, stream=stream
    ) as writer:
        for step in range(0, 30, 10):
            writer.write(step, {"rate": 0.1, "other": 5.0, "loss": 12.3456})
            writer.say(f"evaluated at {step}")
        writer.tick(29)
    last = stream.getvalue().rstrip("\n").split("\r")[-1]
    assert "100%" in last and "30/30" in last and "loss 12.35  rate 0.1" in last
    assert "images/s" in last and "other" not in last
    assert stream.getvalue().count("\n") == 1
    assert capsys.readouterr().out.splitlines() == [f"evaluated at {s}" for s in (0, 10, 20)]


def test_a_log_file_stays_short(tmp_path):
    stream = io.StringIO()
    run(tmp_path, 2000, progress=True, stream=stream)
    lines = stream.getvalue().splitlines()
    assert 15 <= len(lines) <= 22
    assert "\r" not in stream.getvalue()
    assert lines[0].startswith("step 1/2000    0%  loss 0")
    assert lines[-1].startswith("step 2000/2000  100%  loss 1999  ETA 00:00")


def test_quiet_and_inactive(tmp_path, capsys):
    stream = Terminal()
    run(tmp_path / "quiet", 3, stream=stream)
    assert stream.getvalue() == "" and len(metrics.read(tmp_path / "quiet")) == 3
    with metrics.Writer(tmp_path / "other", 3, active=False, stream=stream) as writer:
        writer.write(0, {"loss": 1.0})
        writer.tick(1)
        writer.say("from another process")
    assert stream.getvalue() == "" and not (tmp_path / "other").exists()
    assert capsys.readouterr().out == ""
    assert metrics.read(tmp_path / "other") == []


def scalars(directory):
    """What TensorBoard would draw: tag -> [(step, value)], from the TFRecord frames."""
    found = {}
    for path in directory.iterdir():
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            data = data[16 + length :]
    return found


def test_tensorboard_events(tmp_path):
    with metrics.Writer(tmp_path, 2, progress=False) as writer:
        writer.write(0, {"loss": 4.0, "rate": 0.5})
        writer.write(1, {"loss": math.nan, "rate": 0.25})
    assert scalars(tmp_path / "tensorboard") == {
        "loss": [(0, 4.0)],
        "rate": [(0, 0.5), (1, 0.25)],
    }
