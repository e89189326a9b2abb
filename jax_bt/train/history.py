from jax_bt.train.writer import rate as rate
from jax_bt.train.writer import read as read
from jax_bt.train.writer import total_seconds as total_seconds
