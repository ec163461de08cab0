"""The demo of channels: a residual network, half of whose channels are removed while it is trained."""
