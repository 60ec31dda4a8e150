"""From a file of examples, of whatever type, to its rows, one after the other."""
