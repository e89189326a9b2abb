"""Runs all views through both branches; returns predictions and targets.

Three switches, the same for every method, make the branches unequal: a predictor (a head of that
name), no gradient through the targets, and a momentum encoder that makes the targets.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array, lax

from jax_bt import losses
from jax_bt.errors import UsageError
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.models.heads import MLP

PyTree = Any


class Pass(NamedTuple):
    """One pass of all views.

    Attributes:
      representations: encoder outputs, (local batch, features) each.
      embeddings: projector outputs of the trained networks, (local batch, D) each.
      predictions: outputs of the predictor, or the embeddings where there is none.
      targets: embeddings, with or without gradient, or outputs of the momentum encoder.
      batch_stats: new running statistics of the trained networks.
      kept: new running statistics of the momentum encoder, or ().
      outputs_of: what each view's networks made, by name.
    """

    representations: tuple[Array, ...]
    embeddings: tuple[Array, ...]
    predictions: tuple[Array, ...]
    targets: tuple[Array, ...]
    batch_stats: PyTree
    kept: PyTree
    outputs_of: tuple[dict[str, Array], ...] = ()

    @property
    def symmetric(self) -> bool:
        """Whether predictions and targets are the embeddings, so that one direction is enough."""
        return self.predictions is self.embeddings and self.targets is self.embeddings

    def both_directions(self, formula: Callable[[Array, Array], Any]) -> Any:
        """The mean of ``formula(prediction, target)`` over all ordered pairs of views."""
        values = [
            formula(prediction, target)
            for i, prediction in enumerate(self.predictions)
            for j, target in enumerate(self.targets)
            if i != j
        ]
        return jax.tree.map(lambda *terms: sum(terms) / len(terms), *values)

    def outputs(self, **terms: Array) -> Outputs:
        """Makes the step's record, with these terms to log."""
        return Outputs(terms, self.batch_stats, self.representations, self.embeddings, self.kept)


def run(
    networks: Networks,
    variables: Variables,
    target: PyTree,
    views: tuple[Array, ...],
    *,
    stop_gradient: bool = False,
) -> Pass:
    """Runs the views through the networks one after the other, as the references do.

    Args:
      networks: encoder, projector and, for a predictor, a head of that name.
      variables: of the trained networks.
      target: variables of the momentum encoder, or () for none.
      views: (local batch, ...) each; with separate weights they alternate between branches.
      stop_gradient: no gradient through the targets; those of a momentum encoder never have one.

    Returns:
      The ``Pass``.
    """
    passes = []
    for i, view in enumerate(views):
        out, variables = networks(variables, view, branch=i % 2, view=i)
        passes.append(out)
    embeddings = targets = tuple(out["projector"] for out in passes)
    if target:
        targets = ()
        for i, view in enumerate(views):
            out, target = networks(target, view, branch=i % 2, until="projector")
            targets += (out["projector"],)
    has_predictor = "predictor" in networks.modules
    return Pass(
        representations=tuple(out["encoder"] for out in passes),
        embeddings=embeddings,
        predictions=tuple(o["predictor"] for o in passes) if has_predictor else embeddings,
        targets=lax.stop_gradient(targets) if target or stop_gradient else targets,
        batch_stats=variables["batch_stats"],
        kept=target["batch_stats"] if target else (),
        outputs_of=tuple(passes),
    )


def outputs_with_spread(
    out: Pass,
    loss: Array,
    *,
    variance_weight: float,
    covariance_weight: float,
    axis_name: str | None,
) -> tuple[Array, Outputs]:
    """Adds VICReg's variance and covariance terms to another loss, and makes the step's record.

    The terms are those of the projector's outputs, before predictor and normalisation, where
    VICReg has them. VICReg's appendix D.8 adds them to BYOL and SimSiam with weights 1 and 0.01.

    Args:
      out: from ``run``.
      loss: scalar, the other loss.
      variance_weight: weight of the variance.
      covariance_weight: weight of the covariance; with both weights 0 nothing is added.
      axis_name: mapped axis over which the batch is sharded, or None.

    Returns:
      The sum, and the step's record with the two unweighted terms among its terms.
    """
    if variance_weight == 0 and covariance_weight == 0:
        return loss, out.outputs(loss=loss)
    added = losses.vicreg(
        *out.embeddings,
        invariance_weight=0.0,
        variance_weight=variance_weight,
        covariance_weight=covariance_weight,
        axis_name=axis_name,
    )
    loss = loss + added.loss
    return loss, out.outputs(loss=loss, variance=added.variance, covariance=added.covariance)


def heads(projector: MLP, predictor: MLP) -> dict[str, MLP]:
    """Names projector and predictor; leaves out a predictor without layers.

    Raises:
      UsageError: predictions and targets differ in width.
    """
    if not predictor.widths:
        return {"projector": projector}
    if projector.widths and predictor.widths[-1] != projector.widths[-1]:
        raise UsageError(
            f"heads.predictor={predictor.widths}: its last width must be that of "
            f"heads.projector={projector.widths}, whose outputs it predicts"
        )
    return {"projector": projector, "predictor": predictor}
