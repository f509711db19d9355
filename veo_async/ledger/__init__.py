"""Where jobs live, so that nothing paid is lost, whatever dies and whenever.

Every ledger keeps the promises of `veo_async._ports.Book`, and one suite of tests holds all of them to these.
"""
