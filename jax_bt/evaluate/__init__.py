"""What frozen features are worth: one file per protocol."""

from jax_bt.evaluate._protocols import cells as cells
from jax_bt.evaluate._protocols import check_protocol as check_protocol
from jax_bt.evaluate._protocols import check_size as check_size
from jax_bt.evaluate._protocols import compare as compare
from jax_bt.evaluate._protocols import labels_per_class as labels_per_class
from jax_bt.evaluate._protocols import percent as percent
from jax_bt.evaluate._protocols import title as title
from jax_bt.evaluate.features import extract as extract
from jax_bt.evaluate.knn import knn as knn
from jax_bt.evaluate.linear import MOST_EXAMPLES as MOST_EXAMPLES
from jax_bt.evaluate.linear import few_labels as few_labels
from jax_bt.evaluate.linear import linear_probe as linear_probe
