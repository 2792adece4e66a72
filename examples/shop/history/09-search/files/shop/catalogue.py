"""What the shop sells."""

from dataclasses import asdict, dataclass

PAGE = 6


@dataclass(frozen=True)
class Article:
    number: int
    name: str
    category: str
    cents: int


ARTICLES = tuple(
    Article(number, name, category, cents)
    for number, (name, category, cents) in enumerate(
        [
            ("Teapot, cast iron", "kitchen", 4900),
            ("Teapot, glass", "kitchen", 2900),
            ("Bread knife", "kitchen", 3450),
            ("Chopping board, beech", "kitchen", 2200),
            ("Coffee mill", "kitchen", 7900),
            ("Mixing bowl", "kitchen", 1850),
            ("Desk lamp", "light", 8900),
            ("Reading lamp", "light", 6900),
            ("Lantern", "light", 3900),
            ("Beeswax candle", "light", 790),
            ("Wool blanket", "home", 9900),
            ("Linen towel", "home", 1590),
            ("Door mat", "home", 2490),
            ("Coat hook, brass", "home", 1290),
            ("Notebook, squared", "paper", 690),
            ("Notebook, plain", "paper", 690),
            ("Fountain pen", "paper", 4200),
            ("Ink, blue", "paper", 850),
            ("Envelopes, 50", "paper", 990),
            ("Wrapping paper", "paper", 450),
        ],
        start=1001,
    )
)


def articles(category: str, page: int) -> list[dict[str, object]]:
    found = [article for article in ARTICLES if category in {"", article.category}]
    return [asdict(article) for article in found[(page - 1) * PAGE : page * PAGE]]


def article(number: int) -> dict[str, object]:
    for one in ARTICLES:
        if one.number == number:
            return asdict(one)
    raise KeyError(f"no article {number}")


def search(words: str) -> list[dict[str, object]]:
    wanted = words.casefold().split()
    return [asdict(one) for one in ARTICLES if all(word in one.name.casefold() for word in wanted)][:PAGE]
