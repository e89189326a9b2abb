"""What frozen features are worth: kNN, linear probes, and the table that compares them."""

from jax_bt.evaluate.features import extract as extract
from jax_bt.evaluate.knn import knn as knn
from jax_bt.evaluate.linear import few_labels as few_labels
from jax_bt.evaluate.linear import linear_probe as linear_probe
from jax_bt.evaluate.table import compare as compare
from jax_bt.evaluate.table import table as table
