import numpy as np
import pytest

from simulators.history.noise import keys, normal, uniform


def test_a_number_depends_on_its_place_only() -> None:
    many = normal(keys(7, ["a", "b", "c"], "load"), np.arange(100))
    one = normal(keys(7, ["b"], "load"), np.array([42]))

    assert many[42, 1] == one[0, 0]


@pytest.mark.parametrize(("seed", "name", "what"), [(8, "a", "load"), (7, "b", "load"), (7, "a", "voltage")])
def test_another_seed_name_or_purpose_is_another_series(seed: int, name: str, what: str) -> None:
    index = np.arange(2000)
    first, second = (uniform(of, index)[:, 0] for of in (keys(7, ["a"], "load"), keys(seed, [name], what)))

    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_neighbouring_numbers_are_independent_and_spread_as_they_should() -> None:
    drawn = normal(keys(1, ["a"], "load"), np.arange(20_000))[:, 0]
    flat = uniform(keys(1, ["a"], "load"), np.arange(20_000))[:, 0]

    assert drawn.mean() == pytest.approx(0, abs=0.03)
    assert drawn.std() == pytest.approx(1, abs=0.03)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.03
    assert np.histogram(flat, 10, (0, 1))[0] == pytest.approx(np.full(10, 2000), rel=0.1)
    assert 0 < flat.min() < flat.max() < 1
