"""The tests; `tests.ndw_simulator` is also a program."""
