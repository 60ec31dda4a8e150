"""The columns that ``kubectl get`` shows for built-in kinds, one module for each family of kinds.

Facts: ``pkg/printers/internalversion/printers.go`` (v1.36). A server always gives the wide cells too.
"""
