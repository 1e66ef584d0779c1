// Show how far an import is, every second; when its state changes the page is read anew. Without this the page reloads itself.
const panel = document.querySelector("[data-progress]");
const bar = panel.querySelector("progress");
const live = [...document.querySelectorAll("[data-live]")];
let failures = 0;

async function look() {
  const answer = await fetch(panel.dataset.progress, { headers: { Accept: "application/json" } });
  if (!answer.ok || answer.redirected) throw new Error(answer.status);
  const now = await answer.json();
  if (now.state !== panel.dataset.state) {
    location.reload();
    return false;
  }
  bar.value = now.progress;
  for (const place of live) place.textContent = now.words[place.dataset.live];
  return true;
}

async function watch() {
  let goesOn = true;
  if (!document.hidden) {
    try {
      goesOn = await look();
      failures = 0;
    } catch {
      failures += 1;
      goesOn = failures < 30; // logged out, or the gateway is away
    }
  }
  if (goesOn) setTimeout(watch, failures ? 5000 : 1000);
}

setTimeout(watch, 1000);
