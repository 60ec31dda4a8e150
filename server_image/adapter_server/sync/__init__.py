"""From the AdapterSet to adapters that answer: watch, decide, download, verify, load, switch, drain, unload."""
