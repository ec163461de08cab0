"""What pruning gave: bytes, memory, MACs, accuracy, and latency in the runtimes a model is deployed to."""
