"""The controllers that an operator of workloads depends on, in the server's process."""
