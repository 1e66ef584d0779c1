"""Python runs this first in every process that has this folder on its PYTHONPATH: only mutants do."""

import os

if "CHAOS_MUTANT" in os.environ:
    from tests.chaos import mutants

    mutants.install(os.environ["CHAOS_MUTANT"])
