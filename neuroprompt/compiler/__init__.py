"""The compiler: read -> check -> flatten -> normalise -> schedule -> quantise -> place, one file each."""
