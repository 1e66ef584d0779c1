// Select2 draws a field of its own in the place of a select, without a name: give it that of the label.
window.addEventListener("load", () => {
  for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
    const label = select.labels?.[0]?.textContent.trim() || select.getAttribute("aria-label");
    const drawn = select.nextElementSibling;
    if (!label || !drawn) continue;
    for (const part of drawn.querySelectorAll(".select2-selection, .select2-selection__rendered")) part.setAttribute("aria-label", label);
  }
});
