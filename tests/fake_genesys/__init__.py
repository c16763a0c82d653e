"""A fake Genesys Cloud: login server and API in one process, over TLS, for tests and CI.

Python's standard library and the openssl command are all it needs. See docs/fake-genesys.md, or
`python3 tests/fake_genesys --help`.
"""
