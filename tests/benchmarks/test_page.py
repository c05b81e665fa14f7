"""Pages of results."""

from __future__ import annotations

from benchmarks.page import bullets, grid, page


def test_a_page_is_a_title_and_the_blocks_that_say_anything() -> None:
    assert page("idle", "`command`", "", bullets([]), bullets(["one", "two"])) == (
        "# idle\n\n`command`\n\n* one\n* two\n"
    )


def test_figures_stand_at_the_right_of_the_columns_that_say_so() -> None:
    assert grid(("what", "seconds", ""), [("train", 1.5, ""), ("serve", 0, "met")], right=(1,)) == (
        "| what | seconds | |\n| --- | ---: | --- |\n| train | 1.5 | |\n| serve | 0 | met |"
    )
