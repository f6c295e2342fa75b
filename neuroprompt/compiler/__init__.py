"""The compiler: read -> check -> flatten -> normalise -> schedule -> fit -> quantise -> place, one file each."""
