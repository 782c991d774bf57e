// Copying and printing recovery codes. Without this script the list is selected by one click, and
// the page prints like any other. All sentences shown come from the page.
"use strict";

const list = document.querySelector("[data-codes]");
const says = document.querySelector("[data-says]");

async function copy() {
  const text = Array.from(list.children, (item) => item.textContent.trim()).join("\n");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not on https or localhost, or not allowed: the selection can be copied all the same.
    getSelection().selectAllChildren(list);
    if (!document.execCommand("copy")) throw new Error("not copied");
  }
}

document.querySelector("[data-copy]").addEventListener("click", () => {
  says.textContent = "";
  copy().then(
    () => (says.textContent = says.dataset.copied),
    () => (says.textContent = says.dataset.failed),
  );
});
document.querySelector("[data-print]").addEventListener("click", () => print());

document.querySelectorAll("[data-with]").forEach((part) => (part.hidden = false));
document.querySelectorAll("[data-without]").forEach((part) => (part.hidden = true));
