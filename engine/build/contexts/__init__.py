"""Where the files of a build come from: archives, URLs and git repositories, each a directory while it is needed."""
