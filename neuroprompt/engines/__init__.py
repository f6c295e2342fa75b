"""Where tasks run, an engine a file: on this machine, or on many."""
