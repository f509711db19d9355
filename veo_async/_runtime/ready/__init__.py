"""Ready: the clip exists, and is saved if the job has a target."""
