"""VICReg draws views together, keeps variances up and covariances at zero.

Reference: Bardes et al. 2022, https://arxiv.org/abs/2105.04906
"""

import functools
import warnings
from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._momentum import init_target as init_target
from jax_bt.methods._momentum import update_target as update_target
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import CountOrZero, Positive, Weight, Widths
from jax_bt.models.heads import MLP

LEAST_SCALE = 0.1  # deviation of the embeddings, which the variance term holds near gamma = 1


def heads(
    encoder_width: int,
    *,
    projector: Widths = (8192, 8192, 8192),
    predictor: Widths = (),
    bias: bool = True,
    norm: bool = True,
    activation: str = "relu",
    iter_norm: CountOrZero = 0,
) -> dict[str, Any]:
    """The expander is Barlow Twins' projector with biases in its hidden layers (reference code).

    ``predictor`` widths add a second such net behind it. ``norm=False`` leaves batch norm out of
    both (Table 4). VIbCReg's expander has ``activation="gelu"`` and whitens its outputs by
    ``models.IterNorm`` in ``iter_norm`` groups of dimensions (64 in solo-learn; 0: not at all).
    """
    mlp = functools.partial(MLP, hidden_bias=bias, norm=norm, activation=activation)
    whitened = {"output_norm": "iterative", "output_groups": iter_norm} if iter_norm else {}
    return _branches.heads(mlp(projector, **whitened), mlp(predictor))


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    stop_gradient: bool = False,
    invariance_weight: Weight = 25.0,
    variance_weight: Weight = 25.0,
    covariance_weight: Weight = 1.0,
    variance_weight_b: Weight | None = None,
    covariance_weight_b: Weight | None = None,
    gamma: Positive = 1.0,
    eps: Positive = 1e-4,
    form: str = "auto",
    normalize: str = "none",
    halve_variance: bool = True,
    correlation: bool = False,
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.vicreg`` of the views; most options are its keywords.

    With a predictor, ``stop_gradient`` or a momentum encoder the invariance is the mean over the
    ordered pairs of one view's prediction and another view's target. Variance and covariance stay
    those of the trained networks' embeddings. The weights ending in ``_b`` are those of the second
    branch's views, where they differ (section 5.2). ``correlation=True``, ``halve_variance=False``
    and ``covariance_weight=200`` are VIbCReg (Lee and Aune 2021, https://arxiv.org/abs/2109.00783).
    """
    heavy = not correlation and variance_weight <= covariance_weight  # correlations are over D^2
    if invariance_weight != variance_weight or heavy:
        warnings.warn(
            f"vicreg with weights ({invariance_weight:g}, {variance_weight:g}, "
            f"{covariance_weight:g}): the first two should be equal and above the third, or "
            "training collapses or is unstable (Table 7 of the paper)",
            stacklevel=2,
        )
    formula = functools.partial(
        losses.vicreg,
        variance_weight=_by_branch(variance_weight, variance_weight_b, len(views)),
        covariance_weight=_by_branch(covariance_weight, covariance_weight_b, len(views)),
        gamma=gamma,
        eps=eps,
        axis_name=context.axis_name,
        form=form,
        normalize=normalize,
        halve_variance=halve_variance,
        correlation=correlation,
        precision=precision,
    )
    out = _branches.run(networks, variables, target, views, stop_gradient=stop_gradient)
    if out.symmetric:
        value = formula(*out.embeddings, invariance_weight=invariance_weight)
    else:
        value = formula(*out.embeddings, invariance_weight=0.0)
        invariance = out.both_directions(lambda p, t: formula(p, t).invariance)
        value = value._replace(
            loss=value.loss + invariance_weight * invariance, invariance=invariance
        )
    return value.loss, out.outputs(**value._asdict())


def _by_branch(first: float, second: float | None, count: int) -> float | tuple[float, ...]:
    """The weight of both branches, or one for each view, which they meet in turn."""
    return first if second is None else tuple((first, second)[i % 2] for i in range(count))
