"""The board: what people work on, brought up to date by what the journal gained."""

from consoled import HOST, alert, incident, tell, workspace

from lemnis import app
from lemnis.app import incidents as working
from lemnis.app.board import Board
from lemnis.contracts.alerts import Severity
from lemnis.contracts.journal import NewEntry

HOUR = 3_600_000


def test_the_same_view_is_given_until_something_in_it_changes(tmp_path):
    soc = workspace(tmp_path)
    name = incident(soc, alert(1), alert(2, at=5))
    board = Board(soc)
    before = board.look()
    assert board.look() is before
    app.journal(soc).append(NewEntry("personal_read", "somebody", "read:1", {}))
    assert board.look() is before
    working.note(soc, name, "hello", actor="ana")
    after = board.look()
    assert after is not before
    assert after.standings[0].incident.notes[0].text == "hello"
    tell(soc, alert(7, rule="rule-7"))
    assert board.look().loose != after.loose


def test_that_a_timer_runs_out_is_seen_at_once_and_nothing_else_is_worked_out_again(tmp_path):
    soc = workspace(tmp_path)
    incident(soc, alert(1, severity=Severity.CRITICAL, entities=(HOST,)))
    board = Board(soc)

    def states():
        return {timer.name: timer.state for timer in board.look().standings[0].timers}

    view = board.look()
    timer = next(one for one in view.standings[0].timers if one.name == "acknowledge")
    assert states()["acknowledge"] == "running"
    soc.clock.advance(timer.near - 1 - soc.clock.now())
    assert board.look() is view
    soc.clock.advance(1)
    assert states()["acknowledge"] == "near"
    soc.clock.advance(timer.due - soc.clock.now())
    assert states()["acknowledge"] == "near"
    soc.clock.advance(1)
    assert states()["acknowledge"] == "breached"
    assert board.look() is board.look()
