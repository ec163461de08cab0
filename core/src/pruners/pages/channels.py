"""Channels that a removal kept, layer by layer."""

from __future__ import annotations

from .elements import Bar, Block, Cell, Section, table_of
from .given import Given, Values, reading

HOW = "give what pruners.remove returned: removal=, --removal"


def section(given: Given) -> Section | None:
    """Return channels before and after for each group of layers, or None without a removal."""
    if given.removal is None:
        return None
    with reading("removal", "Removal.report().to_dict()"):
        return _section(given.removal)


def _section(removal: Values) -> Section:
    groups = removal["groups"]
    columns: dict[str, list[Cell | None]] = {
        "channels of": [str(group["layer"]) for group in groups],
        "kept": [_bar(group["kept"], group["units"]) for group in groups],
        "before": [f"{group['units']:,}" for group in groups],
        "after": [f"{group['kept']:,}" for group in groups],
        "layers": [f"{len(group['layers']):,}" for group in groups],
        "parameters": [f"-{group['parameters']:,}" if group["parameters"] else "0" for group in groups],
        "MACs": [f"-{group['macs']:,}" if group["macs"] else "0" for group in groups],
        "kept because": [str(group["restored"]) or None for group in groups],
    }
    caption = "Layers whose channels are decided together share a row. Savings of rows overlap."
    blocks = [Block(table=table_of(caption, columns, ("channels of", "kept because")))]
    if removal["whole"]:
        reasons: dict[str, list[Cell | None]] = {
            "layer": [str(name) for name in removal["whole"]],
            "kept whole because": [str(reason) for reason in removal["whole"].values()],
        }
        blocks.append(Block(title="Kept whole", table=table_of("", reasons, ("layer", "kept whole because"))))
    before, after = (sum(group[key] for group in groups) for key in ("units", "kept"))
    line = f"{after:,} of {before:,} channels stay, chosen by {removal['pruner']}."
    return Section(name="channels", title="Channels kept", lines=[line], blocks=blocks, data=dict(removal))


def _bar(kept: int, units: int) -> Bar:
    share = kept / units if units else 0.0
    return Bar(share, f"{share:.2f}")
