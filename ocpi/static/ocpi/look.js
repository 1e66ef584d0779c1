// "/" goes to the search: that of the list on this page, else the one over all pages (Ctrl+K).
"use strict";

document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const search = document.getElementById("searchbar");
  if (search) search.focus();
  else window.dispatchEvent(new CustomEvent("opencommand"));
});

// Unfold's "Filters" is a link that leads nowhere: the keyboard passes it over, and says nothing of what it opens.
document.addEventListener("DOMContentLoaded", () => {
  const opener = document.querySelector('a[x-on\\:click="filterOpen = true"]');
  const panel = document.getElementById("changelist-filter");
  if (!opener || !panel) return;
  opener.setAttribute("role", "button");
  opener.tabIndex = 0;
  opener.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    opener.click();
    requestAnimationFrame(() => requestAnimationFrame(() => panel.querySelector("a[href], input, select, button")?.focus()));
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") opener.focus(); // Unfold closes the panel
  });
});
