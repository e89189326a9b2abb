"""Augmentation in TensorFlow on the host: crops of decoded images and operations on planes."""
