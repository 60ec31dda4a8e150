"""The base model, the adapter on it, and the adapter's files."""

import logging

# bitsandbytes warns, when it is imported, that it could not fetch a kernel for inference from the Hub. Training uses no
# such kernel, and nothing is to be fetched.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
