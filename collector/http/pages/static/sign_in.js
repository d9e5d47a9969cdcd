// @ts-check
/** A link in a mail comes without the key that this browser may have (SameSite): asked for from here, it comes with it. */

const there = /** @type {HTMLInputElement} */ (document.querySelector("input[name=next]")).value;
const answer = await fetch(location.href, { redirect: "manual" });
if (answer.type === "opaqueredirect") location.replace(there);
export {};
