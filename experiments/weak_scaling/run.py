"""Weak scaling from plans: the same work per chip on more and more chips.

python experiments/weak_scaling/run.py --output=runs/weak_scaling

Plans that are already in the folder are not made again.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys

from jax_bt.report import table

ROOT = pathlib.Path(__file__).parent.parent.parent
SLICES = ("v5e:2x4", "v5e:4x4", "v5e:4x8", "v5e:8x8", "v5e:8x16", "v5e:16x16")
COLUMNS = (
    "chips", "batch", "TFLOP", "HBM GB", "GB accessed", "MB all-reduced", "MB gathered",
    "other MB", "GB sent", "peak GB", "compute ms", "memory ms", "links ms", "step ms", "images/s",
    "efficiency",
)  # fmt: skip


def make(slice_name: str, config: str, images: int, folder: pathlib.Path, rest: list[str]) -> dict:
    """The plan for one slice, made by the command that anybody would type."""
    path = folder / f"{slice_name.replace(':', '_')}.json"
    if not path.exists():
        chips = math.prod(int(side) for side in slice_name.partition(":")[2].split("x"))
        command = [
            sys.executable, "-m", "jax_bt.main", "plan", f"--config={config}",
            f"--config.batch_size={images * chips}", f"--topology={slice_name}",
            f"--output={path.resolve()}", *rest,
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
    return json.loads(path.read_text())


def row(plan: dict, first: dict) -> list[str]:
    """One line of the table; efficiency: images/s per chip over those of the first line."""
    kinds, seconds = plan["collective_bytes_per_device"], plan["seconds"]
    other = sum(kinds.values()) - kinds["all_reduce"] - kinds["all_gather"]
    rate = [p["images_per_second"] / p["chips"] for p in (plan, first)]
    return [
        str(plan["chips"]),
        str(plan["batch_size"]),
        f"{plan['flops_per_device'] / 1e12:.2f}",
        f"{plan['bytes_moved_per_device'] / 1e9:.1f}" if plan["bytes_moved_per_device"] else "-",
        f"{plan['bytes_accessed_per_device'] / 1e9:.1f}",
        f"{kinds['all_reduce'] / 1e6:.0f}",
        f"{kinds['all_gather'] / 1e6:.0f}",
        f"{other / 1e6:.0f}",
        f"{plan['bytes_sent_per_device'] / 1e9:.2f}",
        f"{plan['bytes_per_device']['peak'] / 1e9:.1f}",
        *(f"{1e3 * seconds[kind]:.1f}" for kind in ("compute", "memory", "links")),
        f"{1e3 * plan['step_seconds_bound']:.1f}",
        f"{plan['images_per_second']:,.0f}",
        f"{100 * rate[0] / rate[1]:.0f} %",
    ]


def main() -> None:
    """Makes the plans that are missing, one after the other, and prints the table as Markdown."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--config", default="configs/barlow_r50.py")
    flags.add_argument("--images", type=int, default=64, help="per chip")
    flags.add_argument("--slices", default=",".join(SLICES), help="separated by commas")
    flags.add_argument("--output", type=pathlib.Path, default="runs/weak_scaling")
    known, rest = flags.parse_known_args()  # the rest goes to the plan command: --effort, --backend
    known.output.mkdir(parents=True, exist_ok=True)
    plans = []
    for name in known.slices.split(","):
        plans.append(make(name, known.config, known.images, known.output, rest))
    written = table.markdown([COLUMNS, *(row(plan, plans[0]) for plan in plans)])
    (known.output / "table.md").write_text(written + "\n")
    print(written)


if __name__ == "__main__":
    main()
