"""Messages of BuildKit's API: names and numbers of their fields are the wire contract, and only what is used is here.

`*_pb2.py` and `*_pb2.pyi` are made from the `.proto` files by `contrib/protos`.
"""
