"""Mutated files for every reader of the package: `python -m tests.fuzz --seconds 60 --reader annotations`.

A reader may refuse a file with an error of the package. Anything else is a fault: another exception, a traceback, more
than ten seconds, more than 2 GB of memory, or a signal. `targets.py` has the readers, `seeds.py` the valid files that
are mutated, `mutate.py` and `formats.py` how they are mutated, and `harness.py` the processes in which they are read.

A mutation is made from the name of its reader and a number, so a fault can be seen again with those two.
`regressions/` holds files that were once faults, one folder per reader.
"""
