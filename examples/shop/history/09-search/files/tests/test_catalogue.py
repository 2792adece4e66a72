import pytest

from shop import catalogue


def test_a_category_lists_only_its_articles():
    assert {one["category"] for one in catalogue.articles("paper", 1)} == {"paper"}


def test_pages_do_not_overlap():
    first, second = catalogue.articles("", 1), catalogue.articles("", 2)
    assert not {one["number"] for one in first} & {one["number"] for one in second}


def test_an_unknown_article_is_refused():
    with pytest.raises(KeyError):
        catalogue.article(1)


def test_search_wants_every_word():
    assert [one["name"] for one in catalogue.search("teapot GLASS")] == ["Teapot, glass"]
