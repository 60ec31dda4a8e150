"""The embedded cluster for laptops and tests. Never for production."""
