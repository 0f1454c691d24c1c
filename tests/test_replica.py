import sys

import pytest
import replica


def test_a_replica_takes_the_interpreter_that_is_named_or_says_which_it_needs(monkeypatch):
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setenv("PYTHON", sys.executable)
    assert replica.find_python(["3.10", here]) == (sys.executable, here)
    with pytest.raises(ValueError, match=r"needs Python 3\.10, and there is none at .*python"):
        replica.find_python(["3.10"])
    monkeypatch.setenv("PYTHON", "no-such-python")
    with pytest.raises(ValueError, match="name one by PYTHON=/path/to/python"):
        replica.find_python([here])
