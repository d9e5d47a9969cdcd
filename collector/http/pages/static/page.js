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

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !takesKeys(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search?.select();
  } else if (event.key === "Escape" && event.target === search) {
    search?.blur();
  }
});

/**
 * Let times tell on hovering what the reader's own clock showed.
 * @param {ParentNode} within
 */
export function localiseTimes(within) {
  for (const time of within.querySelectorAll("time[datetime]:not([title])")) {
    const moment = new Date(time.getAttribute("datetime") ?? "");
    if (!Number.isNaN(moment.valueOf())) {
      time.setAttribute("title", moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" }));
    }
  }
}
localiseTimes(document);

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
 * The parts of the page that bear `data-fresh`, as they are now; not while somebody is at work in them.
 * @param {AbortSignal} signal
 */
async function refresh(signal) {
  const answer = await fetch(location.href, { signal, headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const now = page.getElementById(part.id);
    if (now && !part.contains(document.activeElement)) {
      part.replaceChildren(...now.childNodes);
      localiseTimes(part);
    }
  }
}

const seconds = Number(document.querySelector("main")?.getAttribute("data-refresh"));
if (seconds > 0) {
  setInterval(async () => {
    if (document.hidden || getSelection()?.type === "Range") return;
    try {
      await refresh(AbortSignal.timeout(seconds * 1000));
      say("");
    } catch {
      say("This page is no longer fresh: the collector's HTTP server does not answer.");
    }
  }, seconds * 1000);
}
