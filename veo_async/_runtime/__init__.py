"""Acts on what `_rules` decide: where jobs are sent, watched, waited for and told about.

- ``entry.py``      one live job, as this room shares it; ``job.py`` what its user holds
- ``scheduler.py``  from the queue through slots and gate to the provider
- ``watcher.py``    looks at running tasks until they have ended
- ``mapping.py``    from a stream of requests to a stream of outcomes
- ``events.py``     what happens to a job; ``outcome.py`` how it ends
"""
