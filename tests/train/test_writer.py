"""The metrics file, and what a terminal, a log file and TensorBoard show."""

import io
import json
import math
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from tensorboardX.proto import event_pb2

from jax_bt.train import history, writer
from jax_bt.train.writer import Writer


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path)


def strict(path):
    """Parses as a strict reader does: NaN and Infinity are no JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} in {path}")

    lines = path.read_text().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


def run(folder, total, start=0, stop=None, stream=None):
    with Writer(folder, total, start, stream=stream or io.StringIO()) as made:
        for step in range(start, total if stop is None else stop):
            made.write(step, {"loss": 10.0 * start + step})


def test_lines_are_numbers_of_any_kind(folder):
    with Writer(folder, 3) as made:
        made.write(0, {"loss": jnp.float32(0.1), "rate": 1 / 3, "count": np.int64(2**40)})
        made.write(1, {"loss": np.float32("nan"), "rate": math.inf, "flag": np.True_})
        made.write(2, {"loss": jnp.bfloat16(0.5)[None], "rate": -jnp.inf})
    lines = strict(folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert lines[0]["loss"] == 0.1  # the shortest decimals of this float32
    assert np.float32(lines[0]["loss"]) == np.float32(0.1)
    assert lines[0]["rate"] == 1 / 3 and lines[0]["count"] == 2**40
    assert lines[1]["loss"] is None and lines[1]["rate"] is None and lines[1]["flag"] == 1
    assert lines[2]["loss"] == 0.5 and lines[2]["rate"] is None
    assert all(line["seconds"] >= 0 for line in lines)
    assert history.read(folder) == lines


def test_every_step_is_on_disk_at_once(folder):
    with Writer(folder, 5) as made:
        made.write(0, {"loss": 1.0})
        assert len(strict(folder / "metrics.jsonl")) == 1


def test_resuming_keeps_each_step_once(folder):
    run(folder, 10, stop=7)
    run(folder, 10, start=4)
    lines = strict(folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(10))
    assert [line["loss"] for line in lines] == [0, 1, 2, 3, 44, 45, 46, 47, 48, 49]


def test_says_what_is_wrong(folder):
    with Writer(folder, 9) as made:
        made.write(4, {"loss": 1.0})
        with pytest.raises(ValueError, match="step 4 comes after step 4"):
            made.write(4, {"loss": 1.0})
        with pytest.raises(ValueError, match="seconds is set by the writer"):
            made.write(5, {"seconds": 1.0})
        with pytest.raises(ValueError, match=r"loss must be one number, got float64 of shape \(2,"):
            made.write(5, {"loss": np.ones(2)})
        with pytest.raises(ValueError, match="name must be one number"):
            made.write(5, {"name": "barlow"})


def test_rates_leave_out_compilation_and_saves(folder, monkeypatch):
    clock = iter([0.0, 60.0, 62.0, 63.0, 163.0, 165.0])
    monkeypatch.setattr(writer.time, "perf_counter", lambda: next(clock))
    with Writer(folder, 99, batch_size=32) as made:
        made.write(0, {})  # at 60 s, most of which is compilation
        made.write(10, {})  # at 62 s: 10 steps of 32 images in 2 s
        with made.saving():  # from 63 s to 163 s
            pass
        made.write(25, {})  # at 165 s: 15 steps of 32 in 3 s of training
    rates = [line.get("images_per_second") for line in strict(folder / "metrics.jsonl")]
    assert rates == [None, 160.0, 160.0]
    lines = history.read(folder)
    assert history.rate(lines) == 160.0 and history.total_seconds(lines) == 165.0


def test_a_save_before_the_line_of_an_earlier_step_counts_once(folder, monkeypatch):
    clock = iter([0.0, 60.0, 63.0, 163.0])
    monkeypatch.setattr(writer.time, "perf_counter", lambda: next(clock))
    with Writer(folder, 99, batch_size=32) as made:
        made.write(0, {})  # at 60 s
        with made.saving():  # from 63 s to 163 s, after step 10 was taken and before it is written
            pass
        made.write(10, {}, at=62.0)
        made.write(25, {}, at=165.0)  # 1 s before the save and 2 s after it
    rates = [line.get("images_per_second") for line in strict(folder / "metrics.jsonl")]
    assert rates == [None, 160.0, 160.0]


def test_waiting_for_batches_is_a_share_of_the_time(folder, monkeypatch):
    clock = iter([0.0, 1.0, 9.0, 60.0, 62.0, 63.0, 64.0, 66.0, 70.0])
    monkeypatch.setattr(writer.time, "perf_counter", lambda: next(clock))
    stream = io.StringIO()
    with Writer(folder, 2, batch_size=32, stream=stream) as made:
        with made.waiting():  # the first batch, while the input starts: 8 s
            pass
        made.write(0, {})  # at 60 s
        for _ in range(2):  # 1 s and 2 s
            with made.waiting():
                pass
        made.write(1, {})  # at 70 s
    assert [line.get("waiting") for line in strict(folder / "metrics.jsonl")] == [None, 0.3]
    assert "waiting for images 30%" in stream.getvalue().splitlines()[-1]


def test_utilisation_is_the_share_of_the_devices_peak(folder, monkeypatch):
    clock = iter([0.0, 60.0, 62.0])
    monkeypatch.setattr(writer.time, "perf_counter", lambda: next(clock))
    with Writer(folder, 2, batch_size=32, peak_rate=64.0) as made:
        made.write(0, {})
        made.write(1, {})  # 32 images in 2 s
    assert [line.get("utilisation") for line in strict(folder / "metrics.jsonl")] == [None, 0.25]


def test_seconds_go_on_where_the_kept_lines_end(folder, monkeypatch):
    clock = iter([0.0, 5.0, 9.0, 1000.0, 1002.0])
    monkeypatch.setattr(writer.time, "perf_counter", lambda: next(clock))
    run(folder, 9, stop=2)
    run(folder, 9, start=1, stop=2)
    assert [line["seconds"] for line in strict(folder / "metrics.jsonl")] == [5.0, 7.0]


def test_a_terminal_gets_one_bar(folder, capsys):
    stream = Terminal()
    with Writer(folder, 30, batch_size=8, stream=stream) as made:
        for step in range(0, 30, 10):
            made.write(step, {"loss": 12.3456, "b": 1.0, "c": 2.0, "rate": 0.1, "other": 5.0})
            made.say(f"evaluated at {step}")
        made.tick(29)
    last = stream.getvalue().rstrip("\n").split("\r")[-1]
    assert "100%" in last and "30/30" in last and "loss 12.35  b 1  c 2  rate 0.1" in last
    assert "images/s" in last and "other" not in last
    assert stream.getvalue().count("\n") == 1
    assert capsys.readouterr().out.splitlines() == [f"evaluated at {s}" for s in (0, 10, 20)]


def test_a_log_file_stays_short(folder):
    stream = io.StringIO()
    run(folder, 2000, stream=stream)
    lines = stream.getvalue().splitlines()
    assert 15 <= len(lines) <= 22
    assert "\r" not in stream.getvalue()
    assert lines[0].startswith("step 1/2000    0%  loss 0")
    assert lines[-1].startswith("step 2000/2000  100%  loss 1999  ETA 00:00")


def test_the_other_processes_write_nothing(folder, capsys):
    stream = Terminal()
    with Writer(folder / "other", 3, active=False, stream=stream) as made:
        made.write(0, {"loss": 1.0})
        made.tick(1)
        made.say("from another process")
        with made.saving():
            pass
    assert stream.getvalue() == "" and not (folder / "other").exists()
    assert capsys.readouterr().out == ""


def scalars(folder):
    """What TensorBoard draws: tag -> [(step, value)], from the TFRecord frames."""
    found = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            data = data[16 + length :]
    return found


def test_tensorboard_events(folder):
    with Writer(folder, 2) as made:
        made.write(0, {"loss": 4.0, "rate": 0.5})
        made.write(1, {"loss": math.nan, "rate": 0.25})
    assert scalars(folder / "tensorboard") == {"loss": [(0, 4.0)], "rate": [(0, 0.5), (1, 0.25)]}


def test_a_bucket_gets_the_files_before_each_checkpoint_and_at_the_end(bucket):
    folder = bucket / "runs" / "a"
    with Writer(folder, 4) as made:
        made.write(0, {"loss": 1.0})
        assert history.read(folder) == []
        with made.saving():
            assert [line["step"] for line in history.read(folder)] == [0]
        made.write(1, {"loss": 2.0})
    assert [line["step"] for line in history.read(folder)] == [0, 1]
    assert scalars(folder / "tensorboard") == {"loss": [(0, 1.0), (1, 2.0)]}
    with Writer(folder, 4, 1) as made:
        made.write(1, {"loss": 3.0})
    assert [line["loss"] for line in history.read(folder)] == [1.0, 3.0]


def test_a_bucket_gets_the_files_every_minute(bucket, monkeypatch):
    clock = iter([0.0, 59.0, 61.0, 61.0, 62.0, 63.0])
    monkeypatch.setattr(writer.time, "perf_counter", lambda: next(clock))
    with Writer(bucket, 9) as made:
        kept = []
        for step in range(3):
            made.write(step, {"loss": 1.0})
            kept.append(len(history.read(bucket)))
    assert kept == [0, 2, 2] and len(history.read(bucket)) == 3
