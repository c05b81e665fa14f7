// A table that is wider than the page is scrolled by keys too. The theme wraps tables when the page is there.
new MutationObserver(() => {
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) wrap.tabIndex = 0;
}).observe(document, { childList: true, subtree: true });
