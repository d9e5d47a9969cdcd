// @ts-check
/** The time line of a prefix: panned and zoomed here at once, then drawn anew by the server, which knows the details. */

import { fetchPage, replacePart, say, takesKeys } from "./page.js";

const REST = 350; // milliseconds without a movement after which the server is asked
const CLICK = 4; // pixels that a finger may tremble
const SHORTEST = 2; // milliseconds that a line shows at least
const STEP = 0.25; // of the line, that a key pans

/** @typedef {{start: number, end: number}} Range */

const line = /** @type {HTMLElement} */ (document.querySelector("#timeline"));

/** @returns {Range} what the server drew */
const drawn = () => ({ start: Date.parse(line.dataset.start ?? ""), end: Date.parse(line.dataset.end ?? "") });
/** @returns {HTMLElement | null} */
const lanes = () => line.querySelector(".lanes");

/**
 * An element, its time in milliseconds, NaN without an end, and whether it was in sight, or near, when it was last placed.
 * @typedef {{one: Element, begin: number, end: number, isNear: boolean}} Placed
 */

/** @returns {{row: Element, marks: Placed[]}[]} all that has a time: read once, as it is moved with each frame */
const collect = () =>
  [...line.querySelectorAll(".axis, .lane")].map((row) => ({
    row,
    marks: [...row.querySelectorAll("[data-t]")].map((one) => ({
      one,
      begin: Date.parse(one.getAttribute("data-t") ?? ""),
      end: Date.parse(one.getAttribute("data-u") ?? ""),
      isNear: true,
    })),
  }));

let range = drawn();
let rows = collect();
let resting = 0;
let frame = 0;
/** @type {AbortController | null} */
let asking = null;

/** Put marks where they belong in the range, but leave those that stay out of sight: thousands take long. */
function place() {
  frame = 0;
  const inSight = rows.filter(({ row }) => {
    const { top, bottom } = row.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  inSight.forEach(({ marks }) => marks.forEach(placeOne));
}

/** @param {Placed} mark */
function placeOne(mark) {
  const { one, begin, end } = mark;
  const width = range.end - range.start;
  const isNear = (end || begin) > range.start - width / 2 && begin < range.end;
  if (isNear || mark.isNear) {
    one.setAttribute("x", `${((begin - range.start) / width) * 100}%`);
    if (end) one.setAttribute("width", `${Math.max(((end - begin) / width) * 100, 0.02)}%`);
  }
  mark.isNear = isNear;
}

/** @param {Range} to */
function show(to) {
  if (to.end - to.start < SHORTEST) return;
  range = { start: to.start, end: Math.min(to.end, Date.now()) };
  frame ||= requestAnimationFrame(place);
  clearTimeout(resting);
  resting = window.setTimeout(() => load(linkTo(range)), REST);
}

/** @param {Range} to */
function linkTo(to) {
  const url = new URL(line.dataset.path ?? "", location.href);
  url.searchParams.set("start", new Date(to.start).toISOString());
  url.searchParams.set("end", new Date(to.end).toISOString());
  if (line.dataset.peer) url.searchParams.set("peer", line.dataset.peer);
  return url.href;
}

/** @param {number} part of the line; to the right where it is positive */
const pan = (part) => {
  const by = (range.end - range.start) * part;
  show({ start: range.start + by, end: range.end + by });
};

/**
 * @param {number} factor how much more time the line shows
 * @param {number} at the part of the line that stays where it is
 */
const zoom = (factor, at = 0.5) => {
  const width = range.end - range.start;
  const fixed = range.start + width * at;
  show({ start: fixed - width * at * factor, end: fixed + width * (1 - at) * factor });
};

const drawnOnce = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

/**
 * Ask the server for another state of this page, and show it in place.
 * @param {string} href
 * @param {boolean} remember whether it is a step that Back undoes
 */
async function load(href, remember = true) {
  asking?.abort();
  const { signal } = (asking = new AbortController());
  const hadFocus = lanes()?.contains(document.activeElement) ?? false;
  say("Asking the archive …");
  try {
    const page = await fetchPage(href, signal);
    const fresh = page.getElementById("timeline");
    for (const name of ["start", "end", "since", "peer"]) {
      const value = fresh?.dataset[name];
      if (value === undefined) delete line.dataset[name];
      else line.dataset[name] = value;
    }
    replacePart("timeline", page);
    for (const field of page.querySelectorAll("main form input")) {
      const here = /** @type {HTMLInputElement | null} */ (document.querySelector(`main form input[name=${field.getAttribute("name")}]`));
      if (here && here !== document.activeElement) here.value = field.getAttribute("value") ?? "";
    }
    range = drawn();
    rows = collect();
    if (remember && href !== location.href) history.pushState(null, "", href);
    if (hadFocus) lanes()?.focus({ preventScroll: true });
    await drawnOnce(); // the table takes as long again
    signal.throwIfAborted();
    for (const id of ["notes", "chosen", "events"]) replacePart(id, page);
    say("");
    await readOn(signal);
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) {
      say(`The archive did not answer: ${error instanceof Error ? error.message : error}`);
    }
  }
}

/**
 * Where the range held too much to be read at once: what was before, piece by piece.
 * @param {AbortSignal} signal
 */
async function readOn(signal) {
  const unread = line.querySelector("#unread");
  if (unread?.getAttribute("data-whole") !== "true") return;
  let events = 0;
  while (Date.parse(line.dataset.since ?? "") > Date.parse(line.dataset.start ?? "")) {
    const url = new URL(linkTo(drawn()));
    url.searchParams.set("until", line.dataset.since ?? "");
    const fresh = (await fetchPage(url.href, signal)).getElementById("timeline");
    if (!fresh) return;
    events += append(fresh);
    line.dataset.since = fresh.dataset.since;
    unread.textContent = `Reading on: ${events.toLocaleString("en")} more marks, back to ${(fresh.dataset.since ?? "").replace("T", " ").replace("Z", "")}.`;
  }
  unread.remove();
}

/**
 * Put marks and bars of an earlier piece into the lanes.
 * @param {HTMLElement} piece
 * @returns {number} how many marks
 */
function append(piece) {
  let count = 0;
  for (const earlier of piece.querySelectorAll("svg[data-peer]")) {
    const lane = line.querySelector(`svg[data-peer="${CSS.escape(earlier.getAttribute("data-peer") ?? "")}"]`);
    const first = firstOf(lane);
    for (const one of earlier.querySelectorAll(":scope > .bar, :scope > a, :scope > .hatched")) {
      if (one.matches(".bar") && one.getAttribute("data-u") === line.dataset.since) {
        one.setAttribute("data-u", first ?? line.dataset.end ?? "");
      }
      count += one.matches("a") ? 1 : 0;
      lane?.append(one);
    }
  }
  rows = collect();
  rows.forEach(({ marks }) => marks.forEach(placeOne));
  return count;
}

/** @param {Element | null} lane */
function firstOf(lane) {
  const times = [...(lane?.querySelectorAll(":scope > .bar, .spot") ?? [])].map((one) => one.getAttribute("data-t") ?? "");
  return times.sort((one, other) => Date.parse(one) - Date.parse(other))[0];
}

// --- keys, mouse, fingers ----------------------------------------------------------------------------------------------

const KEYS = /** @type {Record<string, () => void>} */ ({
  ArrowLeft: () => pan(-STEP),
  ArrowRight: () => pan(STEP),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => line.querySelector(/** @type {const} */ ('a[data-key="0"]'))?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true })),
});

document.addEventListener("keydown", (event) => {
  if (takesKeys(event.target) || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (event.key.startsWith("Arrow") && !lanes()?.contains(document.activeElement)) return;
  event.preventDefault();
  KEYS[event.key]?.();
});

/** @type {Map<number, number>} where each finger is */
const fingers = new Map();
let moved = 0;

/** Where the drawing begins, and how wide it is, in pixels. */
function box() {
  return (line.querySelector(".lane > svg") ?? line).getBoundingClientRect();
}

line.addEventListener("pointerdown", (event) => {
  if (!(event.target instanceof Element) || !event.target.closest(".lane > svg, .axis") || event.button) return;
  if (!fingers.size) moved = 0;
  fingers.set(event.pointerId, event.clientX);
});

window.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (before === undefined) return;
  const { left, width } = box();
  const by = event.clientX - before;
  moved += Math.abs(by);
  if (moved < CLICK) return;
  const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
  fingers.set(event.pointerId, event.clientX);
  if (other === undefined) pan(-by / width);
  else {
    const factor = Math.abs(before - other) / Math.max(Math.abs(event.clientX - other), 1);
    zoom(Math.min(Math.max(factor, 0.5), 2), ((event.clientX + other) / 2 - left) / width);
  }
});

for (const end of ["pointerup", "pointercancel"]) {
  window.addEventListener(end, (event) => fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
}

line.addEventListener("wheel", (event) => {
  if (!(event.target instanceof Element) || !event.target.closest(".lane, .axis")) return;
  const { left, width } = box();
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) * 0.003), (event.clientX - left) / width);
  } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    pan(event.deltaX / width);
  }
}, { passive: false });

line.addEventListener("dragstart", (event) => event.preventDefault());

/** Links to other states of this page are shown in place. */
document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element) || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a");
  if (link && link.closest("#timeline .lane > svg") && moved >= CLICK) {
    event.preventDefault();
    return;
  }
  const href = link && new URL(link.getAttribute("href") ?? "", location.href);
  if (!href || href.pathname !== location.pathname || !link.closest("#timeline, #events")) return;
  event.preventDefault();
  href.hash = "";
  load(href.href).then(() => {
    if (href.searchParams.has("event")) document.querySelector("#chosen")?.scrollIntoView({ block: "nearest" });
  });
});

window.addEventListener("popstate", () => load(location.href, false));
readOn((asking = new AbortController()).signal).catch(() => say("The archive did not answer."));
