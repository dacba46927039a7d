"""The world-model term of PaW as pure functions on tensors; no trainer in sight.

An update's pool P is the list of its transitions in the order (group, episode, turn). `selection` scores and keeps
some of them, `balance` gives lambda per group, `weights` turns both into one weight an observation token, and `term`
is the loss of one micro-batch. `targets` makes the controls. Formulas: docs/method.md.
"""
