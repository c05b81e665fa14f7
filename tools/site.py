"""What the documentation's site has beside docs/: README as its first page, results, decisions and messages.

A hook of mkdocs (mkdocs.yml). Pages link to files of the repository, so that they can be read there too; here those
links are turned to the pages of the site.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.reference import messages_page

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
OF_THE_REPOSITORY = (
    (r"\]\((?:\.\./)*benchmarks/results/", "](results/"),
    (r"\]\(docs/decisions\)", "](decisions/index.md)"),
    (r"\]\(docs/", "]("),
    (r"\]\(CONTRIBUTING\.md\)", "](contributing/index.md)"),
)
"""Links as a file of the repository writes them, and as the site's root has them."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of docs/."""
    texts = {
        "index.md": _read(ROOT / "README.md"),
        "contributing/index.md": _read(ROOT / "CONTRIBUTING.md"),
        "changelog.md": _read(ROOT / "CHANGELOG.md"),
        "decisions/index.md": _decisions(),
        "reference/messages.md": messages_page(),
    }
    for name, text in texts.items():
        files.append(File.generated(config, name, content=text))
    for path in sorted(RESULTS.rglob("*.md")) + sorted(RESULTS.rglob("*.svg")):
        files.append(File.generated(config, f"results/{path.relative_to(RESULTS).as_posix()}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository to the site's pages."""
    up = "../" * page.file.src_uri.count("/")
    for pattern, to in OF_THE_REPOSITORY:
        markdown = re.sub(pattern, to.replace("](", f"]({up}"), markdown)
    return markdown


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _decisions() -> str:
    """Their titles, each a link."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = ((path.name, _read(path).splitlines()[0].removeprefix("# ")) for path in pages)
    lines = [f"* [{title}]({name})" for name, title in titles]
    return "# Decisions\n\nWhy things are as they are, where another way was open.\n\n" + "\n".join(lines) + "\n"


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Give the search a name that can be heard, which the theme's template forgets."""
    return output.replace('role="dialog">', 'role="dialog" aria-label="Search">', 1)
