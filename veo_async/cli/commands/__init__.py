"""The commands as they are typed: their options, their help, and an example each.

- ``trying.py``   demo, simulator: without a key
- ``making.py``   generate, batch, resume, save, sheet: clips
- ``looking.py``  doctor, credits, jobs, evidence: nothing is sent that costs
- ``ledger.py``   ledger …: the doubts on a ledger, ended
"""
