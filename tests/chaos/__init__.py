"""Faults as tests: a whole gateway of real processes under load and fire, then what it promised is counted.

`python -m tests.chaos` (`make chaos`) runs every promise at its daily size, `--mutants` shows that the checks have teeth.
Source: reliability §2 (faults F, promises P…); design §7, "Test budget".
"""
