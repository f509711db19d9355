"""What can go wrong on purpose: the faults, their plan, and how text describes them."""
