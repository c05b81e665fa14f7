"""What shows that the promise holds: rebuilds compared, what must hold on any day, attacks."""
