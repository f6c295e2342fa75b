"""The command `neuroprompt`, one small file per verb."""
