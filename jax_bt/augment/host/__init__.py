"""The views in TensorFlow, on the host: crops of decoded images and the operations on planes."""
