"""The plan command, from the config to the JSON, on simulated devices and where it can for TPUs."""

import functools
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from jax_bt import config, main, plan
from jax_bt.errors import UsageError
from jax_bt.plan import program, sizes
from jax_bt.train.build import read_data

ROOT = pathlib.Path(__file__).parent.parent.parent
TINY = "--config=configs/barlow_digits.py:smoke"
KEYS = {
    "fits", "devices", "bytes_per_device", "flops_per_device", "bytes_accessed_per_device",
    "collective_bytes_per_device", "step_seconds_bound", "images_per_second", "hours", "chip_hours",
    "compile_seconds", "backend",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def started():
    """jax settles once how many devices it has: the suite's eight, whichever test comes first."""
    assert len(jax.devices()) == 8


def tiny(**fields):
    """Barlow Twins on digits with a projector of 32, 32, 32 and 4 steps of 16 images."""
    c = config.smoke(config.digits())
    c.heads.projector = (32, 32, 32)
    c.update(fields)
    return c


@functools.cache
def planned(slice_name, backend):
    """The tiny plan, compiled once for all tests."""
    return plan.plan(tiny(), slice_name, backend=backend)


def check(made, *, batch, steps, chips):
    """What holds of every plan that fits, whatever compiled it."""
    assert set(made) >= KEYS
    have = made["bytes_per_device"]
    assert made["fits"] and have["peak"] <= made["hbm_bytes_per_device"] == 16 * 2**30
    # The momentum of LARS is as large as the parameters, beside the step of each rate.
    assert have["parameters"] <= have["optimizer"] <= have["parameters"] + 64
    assert have["batch"] == (2 * batch * 8 * 8 * 3 * 4 + batch * 4) // chips
    assert 0 < have["activations"] <= have["allocated"]
    assert have["peak"] > have["parameters"] + have["optimizer"]
    # Gradients are reduced whole; normalisation adds a little; the CPU reduces each view's own.
    kinds = made["collective_bytes_per_device"]
    assert set(kinds) == {
        "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "collective_permute"
    }  # fmt: skip
    assert 1.0 <= sum(kinds.values()) / have["parameters"] <= 2.3
    assert made["step_seconds_bound"] == max(made["seconds"].values())
    assert made["seconds"]["compute"] == made["flops_per_device"] / 197e12
    moved, accessed = made["bytes_moved_per_device"], made["bytes_accessed_per_device"]
    if made["costs_from"] == "tpu":
        assert 0 < moved <= accessed
    else:
        assert moved is None
    assert made["seconds"]["memory"] == (moved or accessed) / 819e9
    assert made["images_per_second"] == pytest.approx(batch / made["step_seconds_bound"])
    assert made["hours"] == pytest.approx(steps * made["step_seconds_bound"] / 3600)
    assert made["chip_hours"] == pytest.approx(chips * made["hours"])


@pytest.mark.parametrize("backend", ["cpu", "tpu"])
def test_a_slice(backend):
    """Simulated, and the TPU's own program where libtpu is installed."""
    tpu = backend == "tpu"
    if tpu and importlib.util.find_spec("libtpu") is None:
        pytest.skip("needs libtpu: pip install -e '.[tpu]'")
    made = planned("v5e:2x4", backend)
    assert made["backend"] == made["costs_from"] == ("tpu" if tpu else "cpu (simulated)")
    assert made["devices"] == made["chips"] == 8 and made["batch_size"] == 16
    check(made, batch=16, steps=4, chips=8)
    text = plan.text(made)
    assert "8 chips, 8 devices, 2 images each" in text and "fits       yes" in text
    assert ("a CPU's program" in text) == (not tpu)
    assert "B accessed at 819 GB/s (by XLA's count" in text or tpu
    assert "B to and from HBM at 819 GB/s (" in text or not tpu
    assert jax.config.jax_optimization_level == "UNKNOWN"  # as it was


def test_half_the_chips_do_twice_the_work():
    """A device's share of the products doubles; the model it holds is the same."""
    eight, four = planned("v5e:2x4", "cpu"), planned("v5e:2x2", "cpu")
    assert four["flops_per_device"] == pytest.approx(2 * eight["flops_per_device"], rel=0.1)
    assert four["bytes_per_device"]["parameters"] == eight["bytes_per_device"]["parameters"]
    assert four["bytes_per_device"]["batch"] == 2 * eight["bytes_per_device"]["batch"]


def test_micro_batches_cost_another_forward_pass_and_save_memory():
    """Of the network's three passes, counted in a loop of two parts; the loss and LARS stay."""
    whole = planned("v5e:2x2", "cpu")
    parts = plan.plan(tiny(micro_batches=2), "v5e:2x2", backend="cpu")
    assert 1.2 < parts["flops_per_device"] / whole["flops_per_device"] < 1.4
    assert parts["bytes_accessed_per_device"] > whole["bytes_accessed_per_device"]
    assert parts["bytes_per_device"]["activations"] < whole["bytes_per_device"]["activations"]


def test_the_command_starts_as_many_devices_as_the_slice_has(tmp_path):
    """As people type it, in a process of its own, with other numbers of devices set around it."""
    path = tmp_path / "plan.json"
    done = subprocess.run(
        [sys.executable, "-m", "jax_bt.main", "plan", TINY, "--config.batch_size=32",
         "--config.heads.projector=(32,32,32)", "--topology=v5e:4x4", "--backend=cpu",
         "--train_size=6400", "--config.steps=600", f"--output={path}"],
        cwd=ROOT, env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads(path.read_text())
    assert made["backend"] == "cpu (simulated)" and made["total_steps"] == 600
    check(made, batch=32, steps=600, chips=16)
    assert done.stdout.startswith("barlow_twins, batch 32 on v5e:4x4: 16 chips")
    assert "compiling the step for v5e:4x4" in done.stderr


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--topology=v5e:3x5"], "no such TPU slice; valid are"),
        ([], "no slice to plan for: pass --topology"),
        (["--topology=v5e:2x2", "--config.batch_size=6"], "set it to a multiple of 4"),
        (["--topology=v5e:2x2", "--effort=high"], "it is low or normal"),
        (["--topology=v5e:2x2", "--train_size=0"], "--train_size=0: give the number"),
        (["--topology=v5e:2x2", "--train_size=8"], "larger than the 8 examples"),
        (["--topology=v5e:2x2", "--config.data.name=nothing"], "--train_size=N"),
        (["--topology=v5e:2x2", "--output=missing/plan.json"], "a folder that exists"),
        (["--topology=v5e:2x2", "--output=plan.txt"], "give a .json file"),
        (["--topology=v5e:8x8"], "jax runs with 8 CPU devices and v5e:8x8 has 64"),
    ],
)
def test_mistakes_get_one_line(capsys, monkeypatch, words, answer):
    monkeypatch.chdir(ROOT)
    assert main.run(["main", "plan", TINY, "--backend=cpu", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("jax_bt: ") and said.count("\n") == 1 and answer in said


def test_without_libtpu(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert program.backend("auto") == program.backend("cpu") == "cpu (simulated)"
    with pytest.raises(UsageError, match="needs libtpu: pip install"):
        program.backend("tpu")


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (50.33G) exceeds available HBM (15.75G).",
            int(50.33 * 2**30),
        ),
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
            "space hbm. Used 20.50G of 15.75G hbm. Exceeded hbm capacity by 4.75G.",
            int(20.5 * 2**30),
        ),
        ("RESOURCE_EXHAUSTED: something else", None),
        ("INTERNAL: temporaries (1.0G)", None),
    ],
)
def test_what_a_tpu_compiler_says_of_too_large_programs(message, needed):
    assert program.out_of_memory(message) == needed


def test_a_program_that_does_not_fit_is_reported(monkeypatch):
    """The compiler gives up; the work is then that of a CPU's program and the plan says no."""
    make, calls = program.make, []

    def gives_up(*args):
        calls.append(args)
        return make(*args) if len(calls) > 1 else program.Program(None, 50 * 2**30, 1.0)

    monkeypatch.setattr(program, "make", gives_up)
    made = plan.plan(tiny(), "v5e:2x4", backend="cpu")
    have = made["bytes_per_device"]
    assert not made["fits"]
    assert have["temporaries"] == 50 * 2**30 < have["peak"]
    assert made["flops_per_device"] > 0 and made["hours"] > 0
    assert "fits       NO: peak 53.7 GB of 17.2 GB" in plan.text(made)
    json.dumps(made)


def test_sizes():
    c = tiny()
    assert sizes.train_size(read_data(c)) == 1297  # the embedded digits, as prepared
    assert sizes.train_size(read_data(c), 7) == 7
    c.data.name = "imagenet2012"
    assert sizes.train_size(read_data(c)) == 1_281_167
    c.data.train = "train[:10%]"
    assert sizes.train_size(read_data(c)) == 128_117
