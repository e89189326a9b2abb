"""Programs whose collectives and activations are known by construction."""

import pathlib

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.plan import hlo

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
RING = [(i, (i + 1) % 8) for i in range(8)]


def compiled(function, *shapes, out_specs):
    """HLO of a function mapped over eight devices, each with (8, ...) of a global (64, ...)."""
    mesh = make_mesh(jax.devices()[:8])
    mapped = jax.shard_map(
        function, mesh=mesh, in_specs=P(AXIS), out_specs=out_specs, check_vma=False
    )
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(mapped).lower(*arrays).compile().as_text()


# x is float32 (8, 128) on a device, 4096 bytes.
@pytest.mark.parametrize(
    ("kind", "function", "whole", "sent"),
    [
        ("all_reduce", lambda x: lax.psum(x, AXIS), 4096, 2 * 4096 * 7 / 8),
        ("all_gather", lambda x: lax.all_gather(x, AXIS), 8 * 4096, 8 * 4096 * 7 / 8),
        (
            "reduce_scatter",
            lambda x: lax.psum_scatter(x, AXIS, scatter_dimension=0, tiled=True),
            4096,
            4096 * 7 / 8,
        ),
        ("all_to_all", lambda x: lax.all_to_all(x, AXIS, 0, 1, tiled=True), 4096, 4096 * 7 / 8),
        ("collective_permute", lambda x: lax.ppermute(x, AXIS, RING), 4096, 4096),
    ],
)
def test_one_of_each_kind(kind, function, whole, sent):
    found = hlo.collectives(compiled(function, (64, 128), out_specs=P(AXIS)), 8)
    assert found.bytes == dict.fromkeys(hlo.KINDS, 0) | {kind: whole}
    assert found.count == dict.fromkeys(hlo.KINDS, 0) | {kind: 1}
    assert found.sent == pytest.approx(sent)


def test_groups_have_their_own_size():
    """Four pairs: half of each array crosses, not seven eighths."""
    pairs = [[0, 1], [2, 3], [4, 5], [6, 7]]
    text = compiled(
        lambda x: lax.all_gather(x, AXIS, axis_index_groups=pairs), (64, 128), out_specs=P(AXIS)
    )
    found = hlo.collectives(text, 8)
    assert found.bytes["all_gather"] == 2 * 4096
    assert found.sent == pytest.approx(4096)


def test_a_loop_counts_as_often_as_it_runs():
    def function(x):
        return lax.fori_loop(0, 1000, lambda i, c: jnp.tanh(lax.psum(c * i, AXIS)), x)

    found = hlo.collectives(compiled(function, (64, 128), out_specs=P(AXIS)), 8)
    assert found.bytes["all_reduce"] == 1000 * 4096
    assert found.count["all_reduce"] == 1000


def test_a_tpus_program():
    """Compiled for v5e:2x4: pieces fused into products, asynchronous pairs, a loop of three.

    Of each device: all-gathers of three bfloat16 (8, 128) and a float32 (8, 256); all-reduces of a
    float32 (8, 256), of an (8, 128) whose slice is kept (a small reduce-scatter becomes that) and,
    three times, of an (8, 16); an all-to-all and a permutation of an (8, 128).
    """
    text = (GOLDEN / "plan_v5e_collectives.txt").read_text()
    found = hlo.collectives(text, 8)
    assert found.bytes == {
        "all_gather": 3 * 8 * 2048 + 8 * 8192,
        "all_reduce": 8192 + 4096 + 3 * 512,
        "reduce_scatter": 0,
        "all_to_all": 4096,
        "collective_permute": 4096,
    }
    assert found.count["all_gather"] == 4 and found.count["all_reduce"] == 4


# What XLA prints of collectives that the compilers here happened not to choose.
HEAD = "HloModule m, is_scheduled=true\n\nENTRY %main (p: f32[16,4]) -> f32[16,4] {\n"
ALL = "replica_groups=[1,8]<=[8], dimensions={0}"


@pytest.mark.parametrize(
    ("lines", "kind", "whole"),
    [
        (
            f"  %s = (bf16[2,4]{{1,0}}, bf16[16,4]{{1,0}}) all-gather-start(%p), {ALL}\n"
            "  %d = bf16[16,4]{1,0} all-gather-done(%s)\n",
            "all_gather",
            16 * 4 * 2,
        ),
        (
            f"  %s = f32[16,4]{{1,0}} all-reduce-start(%p), {ALL}, to_apply=%add\n"
            "  %d = f32[16,4]{1,0} all-reduce-done(%s)\n",
            "all_reduce",
            16 * 4 * 4,
        ),
        (
            "  %s = ((f32[16,4]{1,0}), f32[2,4]{1,0}, u32[]) async-start(%p), calls=%scatter\n"
            "  %u = ((f32[16,4]{1,0}), f32[2,4]{1,0}, u32[]) async-update(%s), calls=%scatter\n"
            "  %d = f32[2,4]{1,0} async-done(%u), calls=%scatter\n",
            "reduce_scatter",
            16 * 4 * 4,
        ),
        (
            "  %f = f32[2,4]{1,0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.1\n",
            "reduce_scatter",
            16 * 4 * 4,
        ),
        (
            f"  %r = (f32[16,4]{{1,0}}, /*index=1*/pred[16]{{0}}) all-reduce(%p, %q), {ALL}\n",
            "all_reduce",
            16 * 4 * 4 + 16,
        ),
    ],
)
def test_other_forms(lines, kind, whole):
    called = (
        f"\n%scatter (q: f32[16,4]) -> f32[2,4] {{\n  ROOT %x = f32[2,4]{{1,0}} reduce-scatter(%q),"
        f" {ALL}, to_apply=%add\n}}\n\n%all-reduce-scatter.1 (q: f32[16,4]) -> f32[2,4] {{\n"
        f"  %y = f32[16,4]{{1,0}} all-reduce(%q), {ALL}\n  ROOT %z = f32[2,4] slice(%y)\n}}\n"
    )
    found = hlo.collectives(HEAD + lines + "}\n" + called, 8)
    assert found.bytes == dict.fromkeys(hlo.KINDS, 0) | {kind: whole}


def test_activations_follow_the_schedule():
    """Alive at once: %a (256 bytes) and %b (512) until %d; then %b and the copy of it."""
    forward = 'metadata={op_name="jit(f)/jvp(net)/mul"}'
    backward = 'metadata={op_name="jit(f)/transpose(jvp(net))/mul"}'
    text = (
        HEAD
        + f"""  %p = f32[16,4]{{1,0}} parameter(0)
  %early = f32[64]{{0}} multiply(%p, %p), {forward}
  %vmem = f32[1024]{{0:T(128)S(1)}} multiply(%early, %early), {forward}
  %a = f32[16,4]{{1,0}} multiply(%vmem, %p), {forward}
  %b = bf16[32,8]{{1,0}} multiply(%a, %p), {forward}
  %t = (f32[16,4]{{1,0}}, bf16[32,8]{{1,0}}) tuple(%a, %b)
  %a2 = f32[16,4]{{1,0}} get-tuple-element(%t), index=0
  %huge = f32[4096]{{0}} multiply(%p, %p), {backward}
  %d = f32[16,4]{{1,0}} multiply(%huge, %a2), {backward}
  %copy = bf16[32,8]{{1,0}} copy(%b)
  ROOT %e = f32[16,4]{{1,0}} multiply(%copy, %d), {backward}
}}
"""
    )
    assert hlo.activations(text) == 512 + 512
    assert hlo.activations(text.replace("copy(%b)", "copy(%huge)")) == 256 + 512
    assert hlo.activations(HEAD + "}\n") == 0


def test_activations_of_ten_layers():
    """A sine of a product needs both inputs again: (64, 256) float32 twice a layer."""

    def loss(weights, x):
        for w in weights:
            x = jnp.sin(x @ w)
        return jnp.sum(x)

    weights = [jax.ShapeDtypeStruct((256, 256), jnp.float32)] * 10
    x = jax.ShapeDtypeStruct((64, 256), jnp.float32)
    text = jax.jit(jax.value_and_grad(loss)).lower(weights, x).compile().as_text()
    one = 64 * 256 * 4
    assert 19 * one <= hlo.activations(text) <= 21 * one


def test_one_device_sends_nothing():
    line = "  %r = f32[16,4]{1,0} all-reduce(%p), replica_groups={{0}}, to_apply=%add\n"
    found = hlo.collectives(HEAD + line + "}\n", 1)
    assert found.bytes == dict.fromkeys(hlo.KINDS, 0) and found.sent == 0
