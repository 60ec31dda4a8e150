"""Parts of a model computed by autograd functions of our own, which keep less for the backward pass and take less time.

Each gives what the part it stands for gives, up to rounding. What can't be replaced is left as it is.
"""
