"""Only what two backends truly share. No engine is known here."""
