// Select2 draws a field of its own behind a select, without a name: give it that of the label, whenever it draws one.
function nameDrawn(drawn) {
  const select = drawn.previousElementSibling;
  const label = select?.labels?.[0]?.textContent.trim() || select?.getAttribute("aria-label");
  if (!label) return;
  for (const part of drawn.querySelectorAll(".select2-selection, .select2-selection__rendered")) part.setAttribute("aria-label", label);
}

new MutationObserver((changes) => {
  for (const change of changes) {
    for (const node of change.addedNodes) if (node.classList?.contains("select2-container")) nameDrawn(node);
  }
}).observe(document.documentElement, { childList: true, subtree: true });
