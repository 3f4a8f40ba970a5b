"""Every document: its links lead somewhere, and every command in it is either run by a test or said to need more."""

import re
import subprocess
from urllib.parse import urlsplit

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, anchors, blocks, links, name

ALL = [(name(path), link) for path in DOCUMENTS for link in links(path)]
LOCAL = sorted({(path, link) for path, link in ALL if "://" not in link and not link.startswith("mailto:")})
UNRUN = [(name(path), block) for path in DOCUMENTS for block in blocks(path, "bash")]
# By test_readme.py and test_api.py.
RUN = {"README.md", "docs/api.md"}


@pytest.mark.parametrize(("path", "link"), LOCAL)
def test_link_leads_to_a_file_of_the_checkout_and_to_a_heading_in_it(path: str, link: str) -> None:
    file, _, anchor = link.partition("#")
    target = (ROOT / path).parent / file if file else ROOT / path

    assert target.resolve().is_relative_to(ROOT)
    assert target.exists()
    assert not anchor or anchor in anchors(target)


def test_external_links_are_whole_addresses() -> None:
    addresses = [urlsplit(link) for path, link in ALL if (path, link) not in LOCAL]

    assert addresses
    assert [url.geturl() for url in addresses if url.scheme != "https" or "." not in url.netloc] == []


def test_every_block_that_is_marked_runnable_is_in_a_document_whose_blocks_are_run() -> None:
    runnable = {name(path) for path in DOCUMENTS for language in ("sh", "python", "js") if blocks(path, language)}

    assert runnable == RUN


@pytest.mark.parametrize(("path", "block"), UNRUN)
def test_commands_that_are_not_run_are_sound_and_name_files_that_exist(path: str, block: str) -> None:
    assert subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True).stderr == ""
    named = re.findall(r"(?m)(?:^| )((?:deploy/|cloudbuild)[\w./-]*)", block)
    assert [file for file in named if not (ROOT / file).exists()] == [], path
