"""Which queued job is sent next: tenants share by weight, interactive jobs go first."""
