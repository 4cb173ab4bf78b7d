"""Quantiles, as `rollbook bench` counts them."""

from rollbook.bench.results import Quantiles, quantiles

__all__ = ["Quantiles", "quantiles"]
