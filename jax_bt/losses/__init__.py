"""Every loss a pure function: arrays in, a small tuple out whose first field is ``loss``."""

from jax_bt.losses.barlow_twins import BarlowTwins as BarlowTwins
from jax_bt.losses.barlow_twins import barlow_twins as barlow_twins
from jax_bt.losses.byol import BYOL as BYOL
from jax_bt.losses.byol import byol as byol
from jax_bt.losses.forms import chosen_form as chosen_form
from jax_bt.losses.imax import IMAX as IMAX
from jax_bt.losses.imax import imax as imax
from jax_bt.losses.info_nce import InfoNCE as InfoNCE
from jax_bt.losses.info_nce import info_nce as info_nce
from jax_bt.losses.info_nce import info_nce_in_batch as info_nce_in_batch
from jax_bt.losses.lejepa import LeJEPA as LeJEPA
from jax_bt.losses.lejepa import lejepa as lejepa
from jax_bt.losses.lejepa import sigreg as sigreg
from jax_bt.losses.nt_xent import NTXent as NTXent
from jax_bt.losses.nt_xent import nt_xent as nt_xent
from jax_bt.losses.simsiam import SimSiam as SimSiam
from jax_bt.losses.simsiam import simsiam as simsiam
from jax_bt.losses.swav import SwAV as SwAV
from jax_bt.losses.swav import swav as swav
from jax_bt.losses.vicreg import VICReg as VICReg
from jax_bt.losses.vicreg import vicreg as vicreg
from jax_bt.losses.visreg import VISReg as VISReg
from jax_bt.losses.visreg import visreg as visreg
from jax_bt.losses.w_mse import WMSE as WMSE
from jax_bt.losses.w_mse import w_mse as w_mse
