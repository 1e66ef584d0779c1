// The map of Locations: asks for what is in view whenever that changes, draws it, and lists the first of it below.
// All text comes from the server and goes in as text, never as HTML (but the tiles' attribution, which is the operator's).
import { LAND, PLACES, WATER } from "./map_outline.js";

const L = window.L;
const element = document.getElementById("map");
const { points, bounds, tiles, attribution, looks, words } = JSON.parse(element.dataset.settings);
const said = document.getElementById("map-said");
const table = document.getElementById("map-list");
const legend = [...document.querySelectorAll("[data-state]")];
const CLOSEST = 19;
const SAME_SPOT = 0.00002; // degrees, two metres: zooming in would not take them apart
const WORST_FIRST = Object.keys(looks);
const number = new Intl.NumberFormat(document.documentElement.lang || "en").format;

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// --- The map -------------------------------------------------------------------------------------------------------------

const map = L.map(element, { minZoom: 3, maxZoom: CLOSEST, zoomSnap: 0.5, worldCopyJump: false, zoomControl: false });
L.control.zoom({ zoomInTitle: words.closer, zoomOutTitle: words.farther }).addTo(map);
map.attributionControl.setPrefix(false);
L.control.scale({ imperial: false }).addTo(map);
const marks = L.layerGroup().addTo(map);

function drawOutline() {
  const land = { className: "map-land", interactive: false };
  L.polygon(LAND.map((ring) => [ring]), land).addTo(map);
  L.polygon(WATER.map((ring) => [ring]), { ...land, className: "map-water" }).addTo(map);
  const names = L.layerGroup().addTo(map);
  const pane = map.createPane("names");
  pane.setAttribute("aria-hidden", "true");
  const draw = () => {
    names.clearLayers();
    for (const [zoom, latitude, longitude, name] of PLACES) {
      if (zoom > map.getZoom()) continue;
      const icon = L.divIcon({ className: "map-name", iconSize: [0, 0], html: make("span", "", name) });
      L.marker([latitude, longitude], { icon, pane: "names", interactive: false, keyboard: false }).addTo(names);
    }
  };
  map.on("zoomend", draw);
  draw();
}

// The view is in the address behind #, so that it outlives a look by something else, and can be sent to a colleague.
function begin() {
  const [zoom, latitude, longitude] = location.hash.slice(1).split("/").map(Number);
  if (location.hash && [zoom, latitude, longitude].every(Number.isFinite)) map.setView([latitude, longitude], zoom);
  else map.fitBounds(bounds, { maxZoom: 16 });
  if (tiles) L.tileLayer(tiles, { attribution, maxZoom: CLOSEST, referrerPolicy: "strict-origin" }).addTo(map);
  else drawOutline();
}

function keepView() {
  const centre = map.getCenter();
  const hash = `#${map.getZoom()}/${centre.lat.toFixed(5)}/${centre.lng.toFixed(5)}`;
  history.replaceState(null, "", location.pathname + location.search + hash);
  document.querySelector(".map-choice").action = location.pathname + hash;
}

// --- Marks ---------------------------------------------------------------------------------------------------------------

function describe(cell) {
  const parts = WORST_FIRST.filter((name) => cell.states[name]).map((name) => `${looks[name][2]}: ${number(cell.states[name])}`);
  return [`${words.locations}: ${number(cell.count)}`, ...parts].join("\n");
}

function sign(state) {
  const [kind, letter] = looks[state] || ["calm", "·"];
  const mark = make("span", `map-mark ${kind}`);
  mark.append(make("b", "", letter));
  mark.setAttribute("aria-hidden", "true");
  return mark;
}

function ring(cell) {
  const whole = make("span", "map-cluster");
  const parts = [];
  let done = 0;
  for (const name of WORST_FIRST) {
    if (!cell.states[name]) continue;
    const next = done + (360 * cell.states[name]) / cell.count;
    parts.push(`var(--map-${looks[name][0]}) ${done}deg ${next}deg`);
    done = next;
  }
  if (parts.length) whole.style.backgroundImage = `conic-gradient(${parts.join(", ")})`;
  whole.append(make("b", "", cell.count < 10000 ? number(cell.count) : `${number(Math.round(cell.count / 1000))}k`));
  const worst = WORST_FIRST.find((name) => cell.states[name]);
  if (worst && looks[worst][0] !== "good") whole.append(sign(worst));
  return whole;
}

function isOneSpot([west, south, east, north]) {
  return (east - west < SAME_SPOT && north - south < SAME_SPOT) || map.getZoom() >= CLOSEST;
}

function draw(cells) {
  marks.clearLayers();
  for (const cell of cells) {
    const isOne = cell.count === 1;
    const size = isOne ? 24 : cell.count < 100 ? 36 : cell.count < 1000 ? 42 : 48;
    const html = isOne ? sign(Object.keys(cell.states)[0]) : ring(cell);
    const icon = L.divIcon({ className: "map-point", iconSize: [size, size], html });
    const mark = L.marker(cell.at, { icon, title: describe(cell), riseOnHover: true }).addTo(marks);
    mark.getElement().setAttribute("aria-label", describe(cell));
    mark.on("click", () => visit(cell));
    mark.on("keypress", ({ originalEvent }) => originalEvent.key === "Enter" && visit(cell, true));
  }
}

function visit(cell, isByKey) {
  const [west, south, east, north] = cell.box;
  if (cell.count === 1 || isOneSpot(cell.box)) open(cell, isByKey);
  else map.fitBounds([[south, west], [north, east]], { padding: [40, 40], maxZoom: CLOSEST });
  if (isByKey && cell.count > 1) element.focus(); // the mark is about to go
}

async function open(cell, isByKey) {
  const content = make("div", "map-popup", words.loading);
  const popup = L.popup({ maxHeight: 260, minWidth: 200, autoPanPaddingTopLeft: [56, 12] }).setLatLng(cell.at).setContent(content).openOn(map);
  try {
    const answer = await ask(cell.box);
    content.replaceChildren(...answer.listed.map(card));
    const more = answer.total - answer.listed.length;
    if (more > 0) content.append(make("p", "", `${words.more} ${number(more)}`));
  } catch {
    content.textContent = words.failed;
  }
  popup.update(); // its size, and with it its place
  if (isByKey) content.querySelector("a")?.focus();
}

function card(one) {
  const box = make("div", "map-card");
  const link = make("a", "text-link", one.name || one.id);
  link.href = one.url;
  box.append(link, make("div", "", `${one.tenant} · ${one.id}`));
  if (one.state) box.append(state(one));
  return box;
}

function state(one) {
  const line = make("div", "map-state");
  line.append(sign(one.state), make("span", "", looks[one.state][2]));
  return line;
}

// --- The list ------------------------------------------------------------------------------------------------------------

function list(answer) {
  const headers = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = answer.listed.map((one) => {
    const link = make("a", "text-link", one.name || one.id);
    link.href = one.url;
    const row = make("tr");
    [link, one.id, one.tenant, one.state ? state(one) : "-"].forEach((content, place) => {
      const cell = make("td");
      const inner = make("div");
      inner.append(content);
      cell.dataset.label = headers[place];
      cell.append(inner);
      row.append(cell);
    });
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
  table.hidden = !rows.length;
  const counts = {};
  for (const cell of answer.cells)
    for (const [name, count] of Object.entries(cell.states)) counts[name] = (counts[name] || 0) + count;
  for (const place of legend) place.textContent = answer.told ? number(counts[place.dataset.state] || 0) : "";
  const found = answer.total ? `${words.shown} ${number(answer.total)}.` : words.none;
  said.textContent = answer.told ? found : `${found} ${words.zoomIn}`;
}

// --- Asking --------------------------------------------------------------------------------------------------------------

async function ask(box, signal) {
  const address = `${points}&bbox=${box.join(",")}&zoom=${Math.floor(map.getZoom())}`;
  const answer = await fetch(address, { headers: { Accept: "application/json" }, signal });
  if (!answer.ok || answer.redirected) throw new Error(answer.status);
  return answer.json();
}

let asked;
async function look() {
  asked?.abort();
  asked = new AbortController();
  const view = map.getBounds();
  element.setAttribute("aria-busy", "true");
  try {
    const edges = [view.getWest(), view.getSouth(), view.getEast(), view.getNorth()];
    const answer = await ask(edges, asked.signal);
    draw(answer.cells);
    list(answer);
  } catch (error) {
    if (error.name === "AbortError") return; // a newer one is under way
    said.textContent = words.failed;
  }
  element.removeAttribute("aria-busy");
}

let waiting;
map.on("moveend", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    keepView();
    look();
  }, 120);
});
begin();
