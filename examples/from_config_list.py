"""Use the `config_list` of an earlier tool as it is, on a model that is a dict of arrays.

Run it with: python from_config_list.py
Needs: pip install pruners[numpy]
"""

import numpy as np

import pruners

CONFIG_LIST = [
    {
        "initial_sparsity": 0.0,
        "final_sparsity": 0.8,
        "start_epoch": 0,
        "end_epoch": 5,
        "frequency": 1,
        "op_types": "default",  # every layer that owns weights
    },
    {"op_names": ["head"], "exclude": True},
]


def main() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    model = {"body.weight": draw.normal(size=(40, 50)), "head.weight": draw.normal(size=(10, 40))}

    pruning = pruners.attach(model, pruners.rules_from_config_list(CONFIG_LIST))
    for epoch in range(6):
        pruning.epoch(epoch)  # the schedule counts epochs
        print(f"epoch {epoch}: sparsity {pruning.sparsity().layers['body.weight']:.4f}")
        # ... train one epoch; call pruning.step() after each update of the weights ...
    print(pruning.report())
    pruning.finish()
    return model


if __name__ == "__main__":
    main()
