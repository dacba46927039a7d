import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_figures_of_the_method_are_what_the_functions_give(tmp_path):
    spec = importlib.util.spec_from_file_location("make_figures", DOCS / "make_figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(drawn) == {"method_row.svg", "method_parts.svg"}
    page = (DOCS / "method.md").read_text()
    for name, picture in drawn.items():
        assert f"images/{name}" in page
        assert (DOCS / "images" / name).read_bytes() == picture, "out of date: run python docs/make_figures.py"
