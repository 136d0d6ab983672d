"""Ways to read all labels of training rows, with gradients."""

from sft.training.label_passes.base import LabelPass
from sft.training.label_passes.choose import PassChoice, choose_pass
from sft.training.label_passes.plain import PlainPass
from sft.training.label_passes.tree import TreePass

__all__ = ["LabelPass", "PassChoice", "PlainPass", "TreePass", "choose_pass"]
