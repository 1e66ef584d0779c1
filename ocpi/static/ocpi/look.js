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
