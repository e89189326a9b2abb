"""Reads and writes weights: files of many formats, other libraries' names, our variables."""

from jax_bt.weights.card import Card as Card
from jax_bt.weights.detectron2 import to_detectron2 as to_detectron2
from jax_bt.weights.files import read as read
from jax_bt.weights.layouts import channels_of as channels_of
from jax_bt.weights.layouts import from_state_dict as from_state_dict
from jax_bt.weights.layouts import layout_of as layout_of
from jax_bt.weights.layouts import module_of as module_of
from jax_bt.weights.layouts import to_state_dict as to_state_dict
from jax_bt.weights.safetensors import metadata as metadata
from jax_bt.weights.safetensors import write_safetensors as write_safetensors
from jax_bt.weights.torchvision import from_torchvision as from_torchvision
from jax_bt.weights.torchvision import resnet_of as resnet_of
from jax_bt.weights.torchvision import to_torchvision as to_torchvision
