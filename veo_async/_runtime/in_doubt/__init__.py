"""Jobs in doubt: a request was sent, and it is unknown whether the provider created a task.

Such a job never continues automatically. It leaves this state in one of four ways:

- a **hint**: a callback to the attempt's own URL names a task. If the task's record, read with our own key, proves that
  it belongs to the job (`find_proof`), the job is bound to the task and runs (`hints`);
- the user **resolves** it by naming the task; a record that belongs to a different request is rejected (`actions`);
- the user **resubmits** it: another request, which may be charged a second time;
- the user **abandons** it.

While a callback may arrive, callers wait up to `handler.CALLBACK_WAIT_S`; then the user's policy decides (`handler`).
"""
