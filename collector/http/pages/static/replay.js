// @ts-check
// Moves the graph of a replay: each line and each AS is there from the beginning, and is shown while it stands.

/** @typedef {{ts: number, speaker: number | null, line: number | null, gap: boolean}} Change */
/** @typedef {{start: number, end: number, initial: Record<string, number>, changes: Change[], ways: string[][]}} Moves */

/** @type {Moves} */
const moves = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("moves")).textContent ?? "");
const replay = /** @type {HTMLElement} */ (document.getElementById("replay"));
const SLIDER_STEPS = 1000;

/** @param {string} name @returns {any} */
const part = (name) => document.querySelector(`[data-replay="${name}"]`);
/** @param {string} selector @returns {Map<string, Element>} */
const byData = (selector) =>
  new Map([...replay.querySelectorAll(`[data-${selector}]`)].map((one) => [one.getAttribute(`data-${selector}`) ?? "", one]));

const lines = byData("line");
const ases = byData("as");
const speakers = byData("speaker");
const rows = [...document.querySelectorAll("[data-change]")];
const controls = /** @type {HTMLElement} */ (document.querySelector(".replay-controls"));

let moment = Date.parse(part("at").value);
/** @type {number | undefined} */
let timer;

/** The number of changes that have happened at a moment. @param {number} at */
function changesBy(at) {
  let low = 0;
  let high = moves.changes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moves.changes[middle].ts <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What stands behind so many changes, and what the last moment's changes have just ended. @param {number} count */
function standing(count) {
  /** @type {Map<number, number>} */
  const now = new Map(Object.entries(moves.initial).map(([speaker, line]) => [Number(speaker), line]));
  /** @type {Set<number>} */
  const left = new Set();
  const last = count ? moves.changes[count - 1].ts : NaN;
  for (const change of moves.changes.slice(0, count)) {
    if (change.gap || change.speaker === null) continue;
    const before = now.get(change.speaker);
    if (change.line === null) now.delete(change.speaker);
    else now.set(change.speaker, change.line);
    if (change.ts === last && before !== undefined && before !== change.line) left.add(before);
  }
  return { now, left };
}

/** @param {number} at */
function show(at) {
  moment = Math.min(Math.max(at, moves.start), moves.end);
  const count = changesBy(moment);
  const { now, left } = standing(count);
  const drawn = new Set(now.values());
  const used = new Set([...drawn].flatMap((line) => moves.ways[line]));
  lines.forEach((line, number) => {
    line.classList.toggle("is-standing", drawn.has(Number(number)));
    line.classList.toggle("is-left", left.has(Number(number)) && !drawn.has(Number(number)));
  });
  ases.forEach((as, name) => as.classList.toggle("is-used", used.has(name)));
  speakers.forEach((speaker, number) => speaker.classList.toggle("is-silent", !now.has(Number(number))));
  rows.forEach((row, number) => {
    row.classList.toggle("is-past", number < count);
    row.classList.toggle("is-now", number === count - 1);
  });
  tell();
}

function tell() {
  const said = new Date(moment).toISOString();
  part("moment").textContent = said;
  part("at").value = said;
  part("slider").value = String(((moment - moves.start) / Math.max(moves.end - moves.start, 1)) * SLIDER_STEPS);
  part("slider").setAttribute("aria-valuetext", said);
  if (timer === undefined) link(said);
}

/** Let the address, the picture's, and those of the ASes in it, be that of a moment. @param {string} said */
function link(said) {
  const here = new URL(location.href);
  here.searchParams.set("at", said);
  history.replaceState(null, "", here);
  const picture = new URL(part("picture").href);
  picture.searchParams.set("at", said);
  part("picture").href = picture.href;
  for (const one of document.querySelectorAll(".graph-as a")) {
    one.setAttribute("href", `${one.getAttribute("href")?.split("?")[0]}?${new URLSearchParams({ at: said })}`);
  }
}

/** To the next moment at which something changes, or the one before. @param {1 | -1} direction */
function step(direction) {
  const count = changesBy(moment);
  const next = direction > 0 ? moves.changes[count] : moves.changes[changesBy(moment - 1) - 1];
  show(next ? next.ts : direction > 0 ? moves.end : moves.start);
  rows[changesBy(moment) - 1]?.scrollIntoView({ block: "nearest" });
  return Boolean(next);
}

function stop() {
  clearTimeout(timer);
  cancelAnimationFrame(timer ?? 0);
  timer = undefined;
  part("play").textContent = "Play";
  part("play").setAttribute("aria-pressed", "false");
  tell();
}

function play() {
  if (moment >= moves.end) show(moves.start);
  part("play").textContent = "Pause";
  part("play").setAttribute("aria-pressed", "true");
  let before = performance.now();
  const goOn = () => {
    const speed = Number(part("speed").value);
    const now = performance.now();
    if (speed) show(moment + (now - before) * speed);
    else if (!step(1)) return stop();
    before = now;
    if (moment >= moves.end) return stop();
    timer = speed ? requestAnimationFrame(goOn) : window.setTimeout(goOn, 1000);
  };
  timer = window.setTimeout(goOn, 0);
}

const toggle = () => (timer === undefined ? play() : stop());

part("play").addEventListener("click", toggle);
part("before").addEventListener("click", () => step(-1));
part("behind").addEventListener("click", () => step(1));
part("slider").addEventListener("input", () => {
  stop();
  show(moves.start + (Number(part("slider").value) / SLIDER_STEPS) * (moves.end - moves.start));
});
document.addEventListener("keydown", (event) => {
  const at = event.target;
  if (at instanceof HTMLInputElement || at instanceof HTMLSelectElement || at instanceof HTMLButtonElement) return;
  const scrolls = at instanceof Element && at.matches(".scroll") && at.scrollWidth > at.clientWidth;
  if (scrolls && event.key.startsWith("Arrow")) return;
  if (event.key === " ") toggle();
  else if (event.key === "ArrowRight") step(1);
  else if (event.key === "ArrowLeft") step(-1);
  else return;
  event.preventDefault();
});
for (const row of rows) {
  row.addEventListener("click", (event) => {
    event.preventDefault();
    stop();
    show(moves.changes[Number(row.getAttribute("data-change"))].ts);
  });
}
controls.hidden = false;
show(moment);
