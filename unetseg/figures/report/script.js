"use strict";
// Without this script everything is visible all the same: predictions just stay uncovered.
document.documentElement.classList.add("js");

for (const frame of document.querySelectorAll(".compare")) {
  const input = frame.querySelector("input");
  const show = () => {
    frame.style.setProperty("--at", `${input.value}%`);
    input.setAttribute("aria-valuetext", `${input.value} percent image`);
  };
  input.addEventListener("input", show);
  input.value = 18; // enough to see that there is something to drag
  show();
}

// Tables: a click on a heading sorts by its column, the largest first, then the other way.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.querySelectorAll("thead th")];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") !== "descending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => Number(row.cells[column].textContent);
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (down ? value(b) - value(a) : value(a) - value(b)));
      table.tBodies[0].append(...rows);
    });
  });
}

// On paper nothing can be unfolded.
for (const details of document.querySelectorAll("details")) {
  window.addEventListener("beforeprint", () => (details.open = true));
}
