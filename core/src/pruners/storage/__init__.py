"""Models in files: safetensors with a manifest of what a removal changed; nothing is executed on reading.

`container` reads and writes the file, `manifest` what it says about the model, `tensors` is
what crosses between a framework and the file, `models` holds `pruners.save` and `pruners.load`.
"""
