"""What MkDocs is told beside `mkdocs.yml`: which pages there are besides, and how their texts change.

It decides nothing: `places` does.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import places

DECISIONS = "adr"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the decisions, which are added to all the time, in the navigation."""
    decisions = [f"{DECISIONS}/{file.name}" for file in sorted(Path(config.docs_dir, DECISIONS).glob("*.md"))]
    config.nav = [
        {title: decisions if part == f"{DECISIONS}/" else part for title, part in section.items()}
        for section in config.nav or []
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and those that are brought."""
    for place, make in places.made().items():
        files.append(File.generated(config, place, content=make()))
    for source, place in places.BROUGHT.items():
        files.append(File.generated(config, place, abs_src_path=str(places.ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The text of a page as the site has it."""
    del config, files
    return places.text(markdown, page.file.src_uri)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The finished page."""
    del page, config
    return places.heard(output)
