"""`paw-bench play`: one episode in the terminal, as PaW sees it. Only `model.py` needs torch."""
