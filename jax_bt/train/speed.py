"""Says how fast the devices could take the steps of a run, by their published peak."""

import jax
from jax.sharding import Mesh
from jaxlib import _jax

from jax_bt.train.run import Run

# Dense bfloat16 (of older GPUs float16) operations/s of one JAX device, by the beginning of its
# ``device_kind``. Google: docs.cloud.google.com/tpu/docs (a v2 or v3 chip is two devices); NVIDIA:
# the data sheets, without sparsity.
PEAKS = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA A100": 312e12,
    "NVIDIA L4": 121e12,
    "NVIDIA T4": 65e12,
    "Tesla T4": 65e12,
    "Tesla V100": 125e12,
}


def peak(mesh: Mesh) -> float | None:
    """Operations/s of one device of the mesh; None where they are not known, as of CPUs."""
    kind = mesh.devices.flat[0].device_kind
    return next((rate for name, rate in PEAKS.items() if kind.startswith(name)), None)


def peak_rate(run: Run) -> float | None:
    """Images/s of the whole run if every device did nothing but the step's operations at its peak.

    The rate of a run divided by it is the share of the peak in use ("MFU"). Operations are those
    that XLA counts in the step before optimisation, recomputed ones (``encoder.remat``) included.

    Returns:
      None if the peak is not known, or the step is a loop over micro-batches, of which XLA counts
      one, or if JAX_PLATFORMS leaves out the CPU.
    """
    each = peak(run.mesh)
    if each is None or run.networks.micro_batches > 1:
        return None
    # ``Lowered.cost_analysis`` counts for programs of CPUs alone: GPUs and TPUs are plugins, whose
    # clients cannot. The count needs no device, so the CPU's client makes it for all.
    try:
        client = jax.local_devices(backend="cpu")[0].client
    except RuntimeError:
        return None
    program = run.train_step.lower(*run.abstract()).compiler_ir("hlo").as_hlo_module()
    return run.data.batch_size * each / _jax.hlo_module_cost_analysis(client, program)["flops"]
