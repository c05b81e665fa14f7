"""A certificate as a page for people: what was removed, from where, what was not in reach, until when, how to check."""

from lethe.forgetting.page.html import html
from lethe.forgetting.page.pdf import pdf
from lethe.forgetting.page.words import Page, page_of, text

__all__ = ["Page", "html", "page_of", "pdf", "text"]
