// @ts-check
/** The live tail: entries of the feed as rows, newest first, so many at most. */

import { takesKeys } from "./page.js";

const MOST = 500; // rows; older ones go
const WORDS = /** @type {Record<string, string>} */ ({
  announce: "announced",
  withdraw: "withdrawn",
  session_end: "session ended",
  session_up: "session up",
  gap: "gap",
});

/** @typedef {{ts: string, peer: {address: string, asn: number}, event: string, prefix: string | null, object: unknown,
 *   as_path: string | null, next_hop: string | null, communities: string[] | null, large_communities: string[] | null,
 *   extended_communities: {text?: string, hex?: string}[] | null, reason: string | null, error: string | null}} Entry */

const section = /** @type {HTMLElement} */ (document.querySelector("#live"));
const rows = /** @type {HTMLTableSectionElement} */ (section.querySelector("tbody"));
const status = /** @type {HTMLElement} */ (document.querySelector("#feed"));
const pause = /** @type {HTMLButtonElement} */ (document.querySelector("#pause"));

/** @type {Entry[]} */
let waiting = [];
let dropped = 0;
let seen = 0;
let frame = 0;
let state = "Connecting …";

const isPaused = () => pause.getAttribute("aria-pressed") === "true";

/** Tell how it goes. */
function tell() {
  const count = `${seen.toLocaleString("en")} entr${seen === 1 ? "y" : "ies"}`;
  const held = dropped ? `${waiting.length} wait, ${dropped} older ones dropped` : `${waiting.length} wait`;
  status.textContent = isPaused() ? `Paused; ${held}.` : seen ? `${state} ${count}.` : state;
}

/**
 * @param {string} name
 * @param {(string | Node)[]} content
 * @param {string} [kind]
 */
function cell(name, content, kind = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.append(...content);
  return made;
}

/**
 * @param {string} href
 * @param {string} words
 */
function link(href, words) {
  const made = document.createElement("a");
  made.href = href;
  made.className = "mono";
  made.append(words);
  return made;
}

/** @param {string} moment */
function time(moment) {
  const made = document.createElement("time");
  made.dateTime = moment;
  made.className = "unbroken";
  made.append(new Date(moment).toISOString().slice(11, 23));
  return made;
}

/** @param {string} kind */
function mark(kind) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  shape.setAttribute("class", "mark");
  shape.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${kind}`);
  shape.append(use);
  return shape;
}

/** @param {Entry} entry */
function row(entry) {
  const made = document.createElement("tr");
  const extended = (entry.extended_communities ?? []).map((one) => one.text ?? `0x${one.hex}`);
  const communities = [...(entry.communities ?? []), ...(entry.large_communities ?? []), ...extended];
  const name = entry.prefix
    ? link(`/prefix/${entry.prefix}`, entry.prefix)
    : entry.object ? JSON.stringify(entry.object).slice(0, 80) : "";
  const path = (entry.as_path ?? "").split(/(\d+)/).map((part, at) => (at % 2 ? link(`/as/${part}`, part) : part));
  made.append(
    cell("td", [time(entry.ts)]),
    cell("td", [link(`/peer/${entry.peer.address}`, entry.peer.address)]),
    cell("td", [cell("span", [mark(entry.event), WORDS[entry.event] ?? entry.event], `event ${entry.event}`)]),
    cell("th", [name]),
    cell("td", path, "path"),
    cell("td", [entry.next_hop ?? ""], "mono"),
    cell("td", [communities.join(" ")], "communities"),
    cell("td", [entry.error ?? entry.reason ?? ""], "sentence"),
  );
  made.children[3]?.setAttribute("scope", "row");
  return made;
}

/** Show what has come since the last frame. */
function show() {
  frame = 0;
  if (!isPaused() && waiting.length) {
    const fresh = waiting.slice(-MOST).map(row).reverse();
    waiting = [];
    dropped = 0;
    rows.prepend(...fresh);
    while (rows.childElementCount > MOST) rows.lastElementChild?.remove();
  }
  tell();
}

/** @param {MessageEvent} message */
function take(message) {
  waiting.push(JSON.parse(message.data));
  seen += 1;
  if (waiting.length > MOST) {
    waiting.shift();
    dropped += 1;
  }
  frame ||= requestAnimationFrame(show);
}

/** Follow the feed; the browser connects again by itself, and goes on where it was. */
function follow() {
  const feed = new EventSource(section.dataset.feed ?? "");
  feed.onopen = () => {
    state = "Following:";
    if (!seen) status.textContent = "Following; nothing has been said yet.";
  };
  feed.onmessage = take;
  feed.addEventListener("dropped", () => {
    state = "Entries came faster than this page read them; going on after the last one …";
    tell();
  });
  feed.onerror = () => {
    state = feed.readyState === EventSource.CLOSED ? "The feed has ended; load the page again." : "The feed is interrupted; connecting again …";
    tell();
  };
}

function toggle() {
  pause.setAttribute("aria-pressed", String(!isPaused()));
  show();
}

pause.addEventListener("click", toggle);
document.querySelector("#clear")?.addEventListener("click", () => {
  rows.replaceChildren();
  waiting = [];
  seen = dropped = 0;
  tell();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "p" && !takesKeys(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) toggle();
});
follow();
