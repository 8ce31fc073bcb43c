"""Discord webhooks: what is sent, when, and by which thread.

``webhook`` finds the address; ``outbox`` keeps what waits and folds storms; ``events`` and ``runs``
make embeds of it within ``limits``; ``message`` packs embeds into one request; ``post`` sends it;
``rate_limit`` says when the next may follow; ``sender`` is the thread that does all this.
"""
