"""Measures what frozen features are worth: one file per protocol."""

from jax_bt.evaluate._features import extract as extract
from jax_bt.evaluate._features import in_turn as in_turn
from jax_bt.evaluate._online import online_init as online_init
from jax_bt.evaluate._online import online_loss as online_loss
from jax_bt.evaluate._planes import planes as planes
from jax_bt.evaluate._protocols import Protocol as Protocol
from jax_bt.evaluate._protocols import check_protocol as check_protocol
from jax_bt.evaluate._protocols import find as find
from jax_bt.evaluate._protocols import names as names
from jax_bt.evaluate._protocols import presets as presets
from jax_bt.evaluate._subsets import class_of as class_of
from jax_bt.evaluate._subsets import read_list as read_list
from jax_bt.evaluate._subsets import select as select
from jax_bt.evaluate._table import cells as cells
from jax_bt.evaluate._table import compare as compare
from jax_bt.evaluate._table import percent as percent
from jax_bt.evaluate._table import title as title
from jax_bt.evaluate.knn import knn as knn
from jax_bt.evaluate.knn import knn_several as knn_several
from jax_bt.evaluate.linear import MOST_EXAMPLES as MOST_EXAMPLES
from jax_bt.evaluate.linear import few_labels as few_labels
from jax_bt.evaluate.linear import linear_probe as linear_probe
from jax_bt.evaluate.linear_folds import linear_folds as linear_folds
from jax_bt.evaluate.rankme import rankme as rankme
from jax_bt.evaluate.retrieval import retrieval as retrieval
