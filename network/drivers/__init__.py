"""Kinds of networks behind one contract."""
