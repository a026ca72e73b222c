"""One module a noun: each takes the one collaborator that it uses."""
