"""Test that faults depend only on the seed."""

from tests.faults.fault_plan import LINE, Fault, Rates, script

RATES = Rates(recognizer=10, server=25)


def test_a_session_has_the_same_faults_whenever_it_is_run() -> None:
    assert script(1, 7, 5000, RATES) == script(1, 7, 5000, RATES)
    assert script(1, 7, 5000, RATES) != script(2, 7, 5000, RATES)


def test_all_connection_faults_occur() -> None:
    scripts = [script(1, number, 5000, Rates(0, 0)) for number in range(200)]
    assert {trouble.fault for one in scripts for trouble in one.troubles} == set(LINE)
    assert any(one.library for one in scripts)


def test_one_session_of_so_many_kills() -> None:
    scripts = [script(1, number, 5000, RATES) for number in range(50)]
    met = [trouble.fault for one in scripts for trouble in one.troubles]
    assert met.count(Fault.KILL_SERVER) == 2
    assert met.count(Fault.KILL_RECOGNIZER) == 5
