// Tables that sort by a click on a heading, and tooltips for bars and areas (their SVG titles, at once and on touch).

export function sortableTables() {
  for (const table of document.querySelectorAll("table[data-sortable]:not([data-ready])")) {
    table.dataset.ready = "";
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, heading, column));
    });
  }
}

function sort(table, heading, column) {
  const numeric = heading.classList.contains("number");
  const down = heading.ariaSort ? heading.ariaSort === "ascending" : numeric;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.ariaSort = down ? "descending" : "ascending";
  const value = (row) => (numeric ? Number(row.cells[column].dataset.value) : row.cells[column].textContent);
  const compare = (a, b) => (numeric ? value(a) - value(b) : value(a).localeCompare(value(b)));
  const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? compare(b, a) : compare(a, b)));
  table.tBodies[0].append(...rows);
}

export function tooltips() {
  const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const words = new WeakMap();

  const textOf = (target) => {
    const shape = target.closest?.("svg .column, svg .area, .risk-bar rect");
    if (!shape) return null;
    const title = shape.querySelector("title");
    if (title) {
      words.set(shape, title.textContent);
      title.remove(); // or the browser shows its own tooltip as well
    }
    return words.get(shape);
  };

  const place = (event) => {
    const text = textOf(event.target);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    const x = Math.min(Math.max(8, event.clientX - box.width / 2), innerWidth - box.width - 8);
    const y = event.clientY - box.height - 14;
    tip.style.transform = `translate(${x}px, ${y < 8 ? event.clientY + 18 : y}px)`;
  };

  addEventListener("pointermove", place);
  addEventListener("pointerdown", place);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
}
