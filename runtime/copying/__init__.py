"""Files of a build: copied, made, unpacked and digested by a process that sees their directories alone."""
