"""Runs last: was everything used that the client has?"""

import pytest

import defects
from conftest import complete
from surface import everything


def test_everything_was_used(usage, pytestconfig):
    if not complete(pytestconfig):
        pytest.skip("only some of the tests were run")
    known = defects.by_name()
    missing = [name for name in everything() if not usage.good[name] and name not in known]
    assert not missing, f"never used with success: {missing}"
    unknown = known.keys() - set(everything())
    assert not unknown, f"listed as defective, but not there: {unknown}"
