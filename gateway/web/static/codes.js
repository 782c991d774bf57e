// Copying and printing what a page shows once: recovery codes, API tokens. Without this script it is
// selected by one click, and the page prints like any other. All sentences shown come from the page.
"use strict";

// A list by its items, anything else as it stands.
const plain = (shown) =>
  shown.tagName === "UL"
    ? Array.from(shown.children, (item) => item.textContent.trim()).join("\n")
    : shown.textContent;

async function copy(shown) {
  try {
    await navigator.clipboard.writeText(plain(shown));
  } catch {
    // Not on https or localhost, or not allowed: the selection can be copied all the same.
    getSelection().selectAllChildren(shown);
    if (!document.execCommand("copy")) throw new Error("not copied");
  }
}

document.querySelectorAll("[data-copy]").forEach((button) => {
  const within = button.closest("[data-block]");
  const says = within.querySelector("[data-says]");
  button.addEventListener("click", () => {
    says.textContent = "";
    copy(within.querySelector("[data-codes]")).then(
      () => (says.textContent = says.dataset.copied),
      () => (says.textContent = says.dataset.failed),
    );
  });
});
document
  .querySelectorAll("[data-print]")
  .forEach((button) => button.addEventListener("click", () => print()));

document.querySelectorAll("[data-with]").forEach((part) => (part.hidden = false));
document.querySelectorAll("[data-without]").forEach((part) => (part.hidden = true));
