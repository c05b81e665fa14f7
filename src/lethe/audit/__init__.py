"""Audits: what must hold on any day (``daily``), what a model lets on about who was in its data (``membership``)."""
