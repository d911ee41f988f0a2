"""Every policy does what the picture in its docstring shows, whatever runs first."""

import pytest

from routilux import policies
from routilux.testing import check_picture, pictures_in

DRAWN = [
    (name, expression, picture)
    for name in policies.__all__
    for expression, picture in pictures_in(getattr(policies, name).__doc__)
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("expression", "picture"), [drawn[1:] for drawn in DRAWN], ids=[drawn[0] for drawn in DRAWN])
def test_a_policy_does_what_its_picture_shows(expression, picture, seed):
    check_picture(eval(expression, vars(policies).copy()), picture, seed=seed)
