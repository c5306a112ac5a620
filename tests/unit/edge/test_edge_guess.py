"""Which map a meter probably has, and when nobody can tell."""

from __future__ import annotations

from edge_agent.commissioning.guess import Heard, candidates, ranking

THREE = {"voltage_l1": 230.1, "voltage_l2": 229.8, "voltage_l3": 231.0, "frequency": 50.0, "power_factor": 0.93}
GARBAGE = {"voltage_l1": 3e-39, "voltage_l2": None, "voltage_l3": 9e8, "frequency": 0.0, "power_factor": 0.0}


def names(*heard: Heard) -> list[str]:
    guesses = ranking(heard)
    return [guess.profile for guess in (candidates(guesses) if guesses else [])]


def test_the_map_that_makes_sense_is_taken():
    assert names(Heard("chint", GARBAGE), Heard("eastron", THREE)) == ["eastron"]


def test_a_map_of_three_phases_explains_a_meter_of_three_better():
    single = {name: THREE[name] for name in ("voltage_l1", "frequency", "power_factor")}

    assert names(Heard("sdm230", single), Heard("sdm630", THREE)) == ["sdm630"]


def test_a_map_of_one_phase_fits_a_meter_of_one_better():
    single = {name: THREE[name] for name in ("voltage_l1", "frequency", "power_factor")}

    assert names(Heard("sdm230", single), Heard("sdm630", THREE | {"voltage_l2": None, "voltage_l3": None})) == [
        "sdm230"
    ]


def test_maps_that_explain_the_same_are_all_named():
    assert names(Heard("sdm630", THREE), Heard("sdm72", dict(THREE))) == ["sdm630", "sdm72"]


def test_identity_decides():
    assert names(Heard("a", THREE, identity=True), Heard("b", THREE), Heard("c", THREE, identity=False)) == ["a"]


def test_nothing_is_guessed_from_garbage_or_silence():
    assert names(Heard("chint", GARBAGE), Heard("eastron", {})) == []


def test_the_reasons_are_what_was_read():
    (guess,) = ranking([Heard("eastron", THREE | {"active_energy_import": 5065.0}, identity=True)])

    assert guess.reasons == (
        ("identity", ""),
        ("voltage", "230.1 / 229.8 / 231.0"),
        ("frequency", "50.00"),
        ("factor", "0.93"),
        ("energy", "5065.0"),
    )
