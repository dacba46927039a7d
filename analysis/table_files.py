"""Every table beside the published numbers, as files."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.grid import Grid
from analysis.load import Results
from analysis.table_forms import FORMS
from analysis.table_layouts import paper_tables
from analysis.table_measures import measure_tables
from analysis.table_settings import settings

FOLDER = "tables"


def grids(results: Results, cells: pd.DataFrame, comparisons: pd.DataFrame) -> Mapping[str, Grid]:
    """Name -> table, of those that the plan has arms and axes for and a finished run fills."""
    found = settings(results)
    return {**paper_tables(results, cells, found), **measure_tables(results, cells, comparisons, found)}


def files(tables: Mapping[str, Grid]) -> dict[str, str]:
    """Place in the report -> content: each table in each form, below `tables/`."""
    return {f"{FOLDER}/{name}.{suffix}": form(grid) for name, grid in tables.items() for suffix, form in FORMS.items()}
