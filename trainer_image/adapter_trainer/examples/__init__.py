"""From files of examples to tokens with exact labels. Imports no torch."""
