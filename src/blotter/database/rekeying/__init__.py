"""`blotter keys`: changes of the keys of a data directory, each of which goes on where it was interrupted.

    change    what is done in which order, so that every moment leaves a directory that can be used
    cli       the commands

Above storage, whose files it converts. No server runs meanwhile, but for `rotate`.
"""
