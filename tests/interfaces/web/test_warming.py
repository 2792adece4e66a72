"""What is read beforehand: nothing goes wrong with it, and pages find it."""

import asyncio
import logging

from consoled import alert, browser, built, incident, joined, workspace

from lemnis.interfaces.web import warming

PATHS = ("/", "/queue", "/sources", "/detections", "/pipeline", "/entity?name=host%3Aweb-1")


def test_pages_find_what_was_read_before_anyone_asked(tmp_path, caplog):
    soc = workspace(tmp_path)
    incident(soc, alert(1), alert(2, at=5))
    made = built(soc)
    with caplog.at_level(logging.INFO, logger="lemnis.console"):
        warming.begin(made.site, made.access).join()
    assert [one.getMessage() for one in caplog.records if "read when a page asks" in one.getMessage()] == []
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
    once = dict(made.site.once)
    assert {"queue", "entities", "personal", "past", "slower", "whole-sources", "content"} <= once.keys()

    async def visit():
        async with browser(made, cookie=joined(made, "ana", "analyst")) as client:
            return [(await client.get(path)).status_code for path in PATHS]

    assert set(asyncio.run(visit())) == {200}
    assert made.site.once["queue"] is once["queue"]
    assert made.site.once["personal"] is once["personal"]
