"""A run's page: the pictures people would rather look at than numbers, and the numbers."""

from jax_bt.report.page import write as write
from jax_bt.report.sheets import contact_sheet as contact_sheet
