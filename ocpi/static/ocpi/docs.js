// Show the rules that have what is typed; without JavaScript there is no search box, and all of them.
const box = document.querySelector(".search");
const sections = [...document.querySelectorAll("section")];

box.hidden = false;
box.firstElementChild.addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const section of sections) {
    const rules = [...section.querySelectorAll("article")];
    for (const rule of rules) rule.hidden = !rule.textContent.toLowerCase().includes(wanted);
    section.hidden = rules.every((rule) => rule.hidden);
  }
});
