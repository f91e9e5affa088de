"""What every command shares: errors, whole files, parallel jobs, figures."""
