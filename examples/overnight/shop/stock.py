"""How much is left."""


def take(stock: dict[str, int], article: str, count: int) -> None:
    """Take `count` out of the stock; it never falls below 0."""
    stock[article] = stock[article] - count
