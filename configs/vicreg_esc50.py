"""VICReg on ESC-50: a ResNet on spectrograms, one on waveforms (78.4 %, VICReg, table 6).

The paper probes one of both branches and does not say which; here it is the spectrogram's. Its
data: github.com/karolpiczak/ESC-50, unpacked.

python -m jax_bt.main --config=configs/vicreg_esc50.py --config.data.name=ESC-50-master
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.esc50("vicreg")
    return config.sized(c, arg)
