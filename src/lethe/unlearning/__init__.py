"""What exists for forgetting alone: ledger, plan, purge, certificate, verification."""
