"""Draws the page of a run: its pictures and its numbers."""

from jax_bt.report.page import checkpoint_cells as checkpoint_cells
from jax_bt.report.page import write as write
from jax_bt.report.pairs import pair_cells as pair_cells
from jax_bt.report.sheets import contact_sheet as contact_sheet
