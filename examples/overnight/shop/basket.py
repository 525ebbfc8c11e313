"""What a customer wants to buy."""


def total(prices: list[float], discount: float) -> float:
    """The sum in euros; `discount` in per cent."""
    return sum(prices) * discount / 100
