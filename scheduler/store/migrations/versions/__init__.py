"""Versions: the scripts. Once released, a script is never changed: it is what makes an old store into the next one."""
