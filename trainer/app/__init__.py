"""The local web page of ``sero-app``: drop recordings on it, see verdicts with their evidence, classify again."""
