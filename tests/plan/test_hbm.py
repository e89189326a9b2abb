"""Programs whose bytes to and from HBM are known by construction."""

import pathlib

import pytest

from jax_bt.plan import hbm

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
A = 64 * 128 * 4  # bytes of an f32[64,128], which tiles of (8, 128) leave as it is
FAR, NEAR = "{1,0:T(8,128)}", "{1,0:T(8,128)S(1)}"  # in HBM and on the chip
ARRAY, VMEM = f"f32[64,128]{FAR}", f"f32[64,128]{NEAR}"
ROW = f"f32[8,128]{FAR}"

INSIDE = f"""%add (x: f32[], y: f32[]) -> f32[] {{
  ROOT %s = f32[] add(%x, %y)
}}

%plain (a: f32[64,128]) -> f32[64,128] {{
  %a = {ARRAY} parameter(0)
  %big = f32[9999,128]{FAR} broadcast(%a), dimensions={{0,1}}
  ROOT %b = {ARRAY} exponential(%big)
}}

%relabel (a: f32[64,128]) -> f32[64,128] {{
  %a = {ARRAY} parameter(0)
  ROOT %b = {ARRAY} bitcast(%a)
}}

%rows (a: f32[64,128], at: s32[]) -> f32[8,128] {{
  %a = {ARRAY} parameter(0)
  %at = s32[] parameter(1)
  %same = {ARRAY} fusion(%a), kind=kLoop, calls=%relabel
  %first = {ROW} slice(%same), slice={{[0:8], [0:128]}}
  %other = {ROW} dynamic-slice(%a, %at, %at), dynamic_slice_sizes={{8,128}}
  ROOT %sum = {ROW} add(%first, %other)
}}

%rows_and_all (a: f32[64,128]) -> (f32[8,128], f32[64,128]) {{
  %a = {ARRAY} parameter(0)
  %same = {ARRAY} fusion(%a), kind=kLoop, calls=%relabel
  %first = {ROW} slice(%a), slice={{[0:8], [0:128]}}
  %all = {ARRAY} negate(%same)
  ROOT %t = ({ROW}, {ARRAY}) tuple(%first, %all)
}}

%in_place (a: f32[64,128], u: f32[8,128], at: s32[]) -> f32[64,128] {{
  %a = {ARRAY} parameter(0)
  %u = {ROW} parameter(1)
  %at = s32[] parameter(2)
  %new = {ROW} negate(%u)
  ROOT %d = {ARRAY} dynamic-update-slice(%a, %new, %at, %at)
}}

%then_all (a: f32[64,128], u: f32[8,128], at: s32[]) -> f32[64,128] {{
  %a = {ARRAY} parameter(0)
  %u = {ROW} parameter(1)
  %at = s32[] parameter(2)
  %d = {ARRAY} dynamic-update-slice(%a, %u, %at, %at)
  ROOT %n = {ARRAY} negate(%d)
}}

%copied (a: f32[64,128]) -> f32[64,128] {{
  %a = {ARRAY} parameter(0)
  ROOT %c = {VMEM} copy(%a)
}}

%body (t: (s32[], f32[64,128])) -> (s32[], f32[64,128]) {{
  %t = (s32[], {ARRAY}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %x = {ARRAY} get-tuple-element(%t), index=1
  %y = {ARRAY} negate(%x)
  ROOT %r = (s32[], {ARRAY}) tuple(%i, %y)
}}

%condition (t: (s32[], f32[64,128])) -> pred[] {{
  %t = (s32[], {ARRAY}) parameter(0)
  ROOT %less = pred[]{{:T(256)S(6)}} custom-call(), custom_call_target="Less"
}}
"""


def moved(lines, inside=INSIDE):
    """(read, written) of an entry with these lines and its arguments.

    Those are %p, %q of (64, 128) and %u of (8, 128), float32 in HBM, and %v of (64, 128) on chip.
    """
    entry = f"""
ENTRY %main (p: f32[64,128], q: f32[64,128], u: f32[8,128], v: f32[64,128]) -> f32[64,128] {{
  %p = {ARRAY} parameter(0)
  %q = {ARRAY} parameter(1)
  %u = {ROW} parameter(2)
  %v = {VMEM} parameter(3)
  %i = s32[]{{:S(6)}} constant(0)
"""
    body = "".join(f"  {line}\n" for line in lines)
    return tuple(hbm.moved(f"HloModule m, is_scheduled=true\n\n{inside}{entry}{body}}}\n"))


@pytest.mark.parametrize(
    ("line", "read", "written"),
    [
        (f"%r = {ARRAY} add(%p, %q)", 2 * A, A),
        (f"%r = {VMEM} add(%p, %v)", A, 0),
        (f"%r = {ARRAY} add(%v, %v)", 0, A),
        ("%r = f32[8192]{0:T(1024)} bitcast(%p)", 0, 0),
        (f"%r = ({ARRAY}, {ARRAY}) tuple(%p, %q)", 0, 0),
        (f'%r = {ARRAY} custom-call(), custom_call_target="AllocateBuffer"', 0, 0),
        # Tiles of (8, 128): 4 x 100 is stored as 8 x 128; transposed, 104 x 128.
        ("%r = f32[4,100]{1,0:T(8,128)} negate(%v)", 0, 8 * 128 * 4),
        ("%r = f32[4,100]{0,1:T(8,128)} negate(%v)", 0, 104 * 128 * 4),
        ("%r = bf16[100]{0:T(256)(128)(2,1)} negate(%v)", 0, 256 * 2),
        # A loop, a fusion: what is inside of one is not scheduled.
        (f"%r = {ARRAY} fusion(%p), kind=kLoop, calls=%plain", A, A),
        (f"%r = {VMEM} fusion(%p), kind=kLoop, calls=%plain", A, 0),
        (f"%r = {ARRAY} fusion(%p), kind=kLoop, calls=%relabel", A, A),
        (f"%r = {ROW} fusion(%p, %i), kind=kLoop, calls=%rows", A / 4, A / 8),
        (f"%r = {ROW} fusion(%v, %i), kind=kLoop, calls=%rows", 0, A / 8),
        (f"%r = ({ROW}, {VMEM}) fusion(%p), kind=kLoop, calls=%rows_and_all", A, A / 8),
        (f"%r = {ARRAY} fusion(%p, %u, %i), kind=kLoop, calls=%in_place", A / 8, A / 8),
        (f"%r = {VMEM} fusion(%v, %u, %i), kind=kLoop, calls=%in_place", A / 8, 0),
        (f"%r = {ARRAY} fusion(%p, %u, %i), kind=kLoop, calls=%then_all", A * 9 / 8, A),
        (f"%r = {ARRAY} dynamic-update-slice(%p, %u, %i, %i)", A / 8, A / 8),
        (f"%r = {ROW} dynamic-slice(%p, %i, %i), dynamic_slice_sizes={{8,128}}", A / 8, A / 8),
        (f"%r = f32[8,128]{NEAR} slice(%p), slice={{[0:8], [0:128]}}", A / 8, 0),
        # Collectives.
        (f"%r = {ARRAY} all-reduce(%p), replica_groups={{}}, to_apply=%add", A, A),
        (f"%r = f32[512,128]{FAR} all-gather(%p), dimensions={{0}}", A, 8 * A),
    ],
)
def test_one_instruction(line, read, written):
    assert moved([line]) == (read, written)


@pytest.mark.parametrize(
    ("start", "result", "read", "written"),
    [
        (f"({VMEM}, {ARRAY}, u32[]{{:S(2)}}) copy-start(%p)", VMEM, A, 0),  # prefetched
        (f"({ARRAY}, {VMEM}, u32[]{{:S(2)}}) copy-start(%v)", ARRAY, 0, A),  # evicted
        (f"({ARRAY}, {ARRAY}, u32[]{{:S(2)}}) copy-start(%p)", ARRAY, A, A),
        (
            f"(({ARRAY}), f32[8,128]{NEAR}, u32[]{{:S(2)}}) slice-start(%p), slice={{[0:8], "
            "[0:128]}",
            f"f32[8,128]{NEAR}",
            A / 8,
            0,
        ),
        (f"(({ARRAY}), {VMEM}, u32[]{{:S(2)}}) async-start(%p), calls=%copied", VMEM, A, 0),
        (f"({ARRAY}, f32[512,128]{FAR}) all-gather-start(%p)", f"f32[512,128]{FAR}", A, 8 * A),
        (f"{ARRAY} all-reduce-start(%p), to_apply=%add", ARRAY, A, A),
    ],
)
def test_a_pair_counts_once(start, result, read, written):
    """By what moves: read where the source is in HBM, written where the destination is."""
    kind = start.partition("-start(")[0].split()[-1]
    lines = [f"%s = {start}", f"%d = {result} {kind}-done(%s)"]
    assert moved(lines) == (read, written)


def test_a_loop_counts_as_often_as_it_runs():
    noted = 'backend_config={"known_trip_count":{"n":"7"}}'
    lines = [
        f"%t = (s32[], {ARRAY}) tuple(%i, %p)",
        f"%w = (s32[], {ARRAY}) while(%t), condition=%condition, body=%body, {noted}",
    ]
    assert moved(lines) == (7 * A, 7 * A)


@pytest.mark.parametrize(
    "branches",
    ["branch_computations={%small, %plain_call}", "true_computation=%plain_call, "
     "false_computation=%small"],
)  # fmt: skip
def test_the_branch_that_moves_most(branches):
    inside = f"""{INSIDE}
%small (a: f32[64,128]) -> f32[64,128] {{
  %a = {ARRAY} parameter(0)
  ROOT %b = {VMEM} negate(%a)
}}

%plain_call (a: f32[64,128]) -> f32[64,128] {{
  %a = {ARRAY} parameter(0)
  ROOT %b = {ARRAY} negate(%a)
}}
"""
    assert moved([f"%r = {ARRAY} conditional(%i, %p, %p), {branches}"], inside) == (A, A)
    assert moved([f"%r = {ARRAY} call(%p), to_apply=%plain_call"], inside) == (A, A)


def test_a_tpus_program():
    """Compiled for v5e:2x4; all arrays but parameters and results stay on the chip.

    Read: the float32 parameters, (128, 256) and (8, 128). Written: the results of (8, 256), (8,
    128), (1, 1024), (1, 128) and (8, 16), which takes a tile of (8, 128). Beside them only scalars,
    of at most 4 bytes each in fewer than 64 uses.
    """
    text = (GOLDEN / "plan_v5e_collectives.txt").read_text()
    read, written = hbm.moved(text)
    parameters, results = 128 * 256 + 8 * 128, 8 * 256 + 8 * 128 + 1024 + 128 + 8 * 128
    assert 0 <= read - 4 * parameters < 4 * 64
    assert 0 <= written - 4 * results < 4 * 64
