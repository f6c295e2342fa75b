"""Running a program elsewhere: runtimes, child processes, and the comparison with the reference, spike by spike."""
