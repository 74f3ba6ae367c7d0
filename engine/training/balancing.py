"""Orders that balance the gradients they see: GraB and PairBalance."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Rule = Literal["mean", "pair"]


class Balance:
    """The next epoch's order of some replicas, found by balancing the signs of centred gradients.

    With ``mean``, the gradient g of an example is centred by the mean m of the last epoch; c = g - m gets the
    sign that keeps the running sum s shorter, +1 if ||s + c|| < ||s - c|| and -1 otherwise. Examples of
    sign +1 open the next order, those of sign -1 close it backwards. With ``pair``, c is the difference of
    two neighbours' gradients, which needs no mean; its sign goes to the first of the two, the opposite
    one to the second.

    Args:
        rule: how gradients are centred.
        order: the order of the first epoch.

    Source:
        Lu, Guo & De Sa 2022, algorithms 3 and 4 (GraB); Cooper et al. 2023 (PairBalance).
    """

    def __init__(self, rule: Rule, order: Int[Tensor, "some examples"]) -> None:
        self._rule, self.order = rule, order
        self._signs = torch.zeros_like(order)
        self._at = 0
        self._sums: dict[str, Tensor] = {}

    def see(self, gradients: Float[Tensor, "some batch entries"]) -> None:
        """Take the gradients of the next examples of the order; the last of them makes the next order."""
        if not self._sums:
            zeros = torch.zeros_like(gradients[:, 0])
            self._sums = {name: zeros.clone() for name in ("balance", "mean", "total", "waiting")}
        for gradient in gradients.unbind(1):
            if self._rule == "mean":
                self._signs[:, self._at] = self._sign(gradient - self._sums["mean"])
                self._sums["total"] += gradient
            elif self._at % 2 == 0:
                self._sums["waiting"] = gradient.clone()
                self._signs[:, self._at] = 1  # stands only for an odd example left over at the end
            else:
                sign = self._sign(self._sums["waiting"] - gradient)
                self._signs[:, self._at - 1], self._signs[:, self._at] = sign, -sign
            self._at += 1
        if self._at == self.order.shape[1]:
            self._turn()

    def _sign(self, centred: Float[Tensor, "some entries"]) -> Int[Tensor, " some"]:
        # ||s + c|| < ||s - c|| where s . c < 0.
        sign = torch.where((self._sums["balance"] * centred).sum(1) < 0, 1, -1)
        self._sums["balance"] += sign[:, None] * centred
        return sign

    def _turn(self) -> None:
        """Make the next epoch's order of the signs of this one."""
        places = torch.arange(self.order.shape[1], device=self.order.device)
        ranks = torch.where(self._signs > 0, places, 2 * len(places) - places)
        self.order = self.order.gather(1, ranks.argsort(1))
        self._signs.zero_()
        self._at = 0
        self._sums["mean"] = self._sums["total"] / len(places)
        self._sums["total"] = torch.zeros_like(self._sums["total"])
        self._sums["balance"] = torch.zeros_like(self._sums["balance"])

    def keep(self, alive: Tensor) -> None:
        """Go on with the alive replicas."""
        self.order, self._signs = self.order[alive], self._signs[alive]
        self._sums = {name: value[alive] for name, value in self._sums.items()}

    def state(self) -> dict[str, Tensor]:
        """Return what goes on from step to step."""
        at = torch.tensor(self._at)
        return {"order": self.order, "signs": self._signs, "shared/at": at, **self._sums}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned."""
        kept = dict(tensors)
        self.order, self._signs, self._at = kept.pop("order"), kept.pop("signs"), int(kept.pop("shared/at"))
        self._sums = kept
