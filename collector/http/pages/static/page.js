// @ts-check
/** What all pages do: the search box by its key, times in the reader's own zone, words while an answer is awaited. */

const search = /** @type {HTMLInputElement | null} */ (document.querySelector("#search"));

/**
 * Whether keys belong to what has the focus.
 * @param {EventTarget | null} target
 * @returns {boolean}
 */
export function takesKeys(target) {
  return target instanceof HTMLElement && (target.matches("input, select, textarea") || target.isContentEditable);
}

// On a narrow screen the menu is scrolled: what one is on would be out of sight.
document.querySelector(".bar nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !takesKeys(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search?.select();
  } else if (event.key === "Escape" && event.target === search) {
    search?.blur();
  }
});

const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** A time on which a pointer rests tells what the reader's own clock showed. */
document.addEventListener("pointerover", ({ target }) => {
  const time = target instanceof Element ? target.closest("time[datetime]:not([title])") : null;
  const moment = new Date(time?.getAttribute("datetime") ?? "");
  if (!Number.isNaN(moment.valueOf())) time?.setAttribute("title", zoned.format(moment));
});

/**
 * Say to everybody, those who listen too, what is going on.
 * @param {string} words
 */
export function say(words) {
  const line = document.querySelector("#said");
  if (line) line.textContent = words;
}

document.addEventListener("submit", () => say("Asking the archive …"));
window.addEventListener("pageshow", () => say(""));

/**
 * A page of ours.
 * @param {string} href
 * @param {AbortSignal} signal
 * @returns {Promise<Document>}
 * @throws {Error} with the page's own words, where it failed
 */
export async function fetchPage(href, signal) {
  const answer = await fetch(href, { signal });
  if (answer.status === 401) location.reload(); // the sign-in has ended: a page of its own can lead to a new one
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok) throw new Error(page.querySelector("main .failed")?.textContent?.trim() ?? answer.statusText);
  return page;
}

/**
 * Show a part of another page in place of ours.
 * @param {string} id
 * @param {Document} page
 */
export function replacePart(id, page) {
  const here = document.getElementById(id);
  const there = page.getElementById(id);
  if (!here || !there) return;
  here.replaceChildren(...there.childNodes);
}

/**
 * @param {string} href
 * @param {string[]} ids
 * @param {AbortSignal} signal
 */
export async function replaceParts(href, ids, signal) {
  const page = await fetchPage(href, signal);
  for (const id of ids) replacePart(id, page);
}

/** The parts that bear `data-fresh`, but where somebody is at work in them. */
const parts = () =>
  [...document.querySelectorAll("[data-fresh]")].filter((one) => !one.contains(document.activeElement)).map((one) => one.id);

const seconds = Number(document.querySelector("main")?.getAttribute("data-refresh"));
if (seconds > 0) {
  setInterval(async () => {
    if (document.hidden || getSelection()?.type === "Range") return;
    try {
      await replaceParts(location.href, parts(), AbortSignal.timeout(seconds * 1000));
      say("");
    } catch {
      say("This page is no longer fresh: the collector's HTTP server does not answer.");
    }
  }, seconds * 1000);
}
