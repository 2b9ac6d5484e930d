"""The garbage collector out of the way."""

import gc

import pytest

from pipelines.collector import collector_off


def test_it_comes_back():
    """The garbage collector is as it was, also when what is done meanwhile fails."""
    with pytest.raises(KeyError), collector_off(keep=False):
        raise KeyError("no such key")
    assert gc.isenabled()


def test_it_is_off():
    """Meanwhile it does not run, and one block within another does not switch it on."""
    with collector_off(keep=False):
        with collector_off(keep=False):
            assert not gc.isenabled()
        assert not gc.isenabled()


def test_what_stays_is_never_looked_at_again():
    """What was made is not among what the collector walks through."""
    with collector_off(keep=True):
        made = [[] for _ in range(3)]
    assert all(each is not one for each in made for one in gc.get_objects())
