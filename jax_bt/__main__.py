"""Makes ``python -m jax_bt`` the same as ``python -m jax_bt.main``."""

import sys

from jax_bt.main import main

sys.exit(main(sys.argv))
