// Tables that sort by a click on a heading; tooltips for bars and areas (their SVG titles, at once, on touch and on
// focus); arrow keys on the map; the moving threshold.

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
  const texts = new WeakMap();

  const textOf = (target) => {
    const focused = target.matches?.(".areas a") ? target.querySelector(".area") : null;
    const shape = focused ?? target.closest?.("svg .column, svg .area, .square .dot, .risk-bar rect");
    if (!shape) return null;
    const title = shape.querySelector("title");
    if (title) {
      texts.set(shape, title.textContent);
      title.remove(); // or the browser shows its own tooltip as well
    }
    return texts.get(shape);
  };

  const show = (target, x, y) => {
    const text = textOf(target);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, x - box.width / 2), innerWidth - box.width - 8);
    const above = y - box.height - 14;
    tip.style.transform = `translate(${left}px, ${above < 8 ? y + 18 : above}px)`;
  };
  const follow = (event) => show(event.target, event.clientX, event.clientY);

  addEventListener("pointermove", follow);
  addEventListener("pointerdown", follow);
  addEventListener("focusin", (event) => {
    if (!event.target.matches(".areas a")) { tip.hidden = true; return; }
    const box = event.target.getBoundingClientRect();
    show(event.target, box.left + box.width / 2, box.top + box.height / 2);
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
}

const DIRECTIONS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/** One stop for the Tab key; the arrow keys go to the nearest area in their direction. */
export function mapKeys() {
  const links = [...document.querySelectorAll("[data-map]:not([data-ready]) a")];
  if (!links.length) return;
  const map = links[0].closest("[data-map]");
  map.dataset.ready = "";
  const middle = (link) => {
    const box = link.getBBox();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const stop = (current) => {
    for (const link of links) link.setAttribute("tabindex", link === current ? "0" : "-1");
  };
  stop(links[0]);
  map.addEventListener("focusin", (event) => stop(event.target));
  map.addEventListener("keydown", (event) => {
    const direction = DIRECTIONS[event.key];
    if (!direction || !links.includes(event.target)) return;
    event.preventDefault();
    const [x, y] = middle(event.target);
    let best = null;
    for (const link of links) {
      const [dx, dy] = [middle(link)[0] - x, middle(link)[1] - y];
      const along = dx * direction[0] + dy * direction[1];
      const aside = Math.abs(dx * direction[1]) + Math.abs(dy * direction[0]);
      const cost = along + 2 * aside;
      if (along > 1 && (!best || cost < best.cost)) best = { link, cost };
    }
    best?.link.focus();
  });
}

const counts = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const amount = (value) => (value > 0 && value < 9.95 ? value.toFixed(1) : counts.format(value));
const share = (value) => {
  if (!Number.isFinite(value)) return "–";
  if (value > 0 && value < 0.001) return "<0.1%";
  return value > 0.999 && value < 1 ? ">99.9%" : `${(value * 100).toFixed(1)}%`;
};
const sum = (list, from) => list.slice(from).reduce((total, one) => total + one, 0);

/** What the server computes for one threshold (headline.py), for every position of the slider. */
export function threshold() {
  const form = document.querySelector("[data-threshold]");
  if (!form) return;
  const read = (name) => (form.dataset[name] ? JSON.parse(form.dataset[name]) : null);
  const [steps, known, arrests] = [read("steps"), read("known"), read("arrests")];
  const expected = steps.map((rows, place) => (rows * (place + 0.5)) / steps.length);
  const give = (name, text) => {
    const place = form.querySelector(`[data-give="${name}"]`);
    if (place) place.textContent = text;
  };
  const slider = form.elements.threshold;
  slider.addEventListener("input", () => {
    const from = Math.floor((slider.value * steps.length) / 100);
    form.elements.shown.textContent = `${slider.value}%`;
    give("rows", counts.format(sum(steps, from)));
    give("share", `${share(sum(steps, from) / sum(steps, 0))} of all`);
    give("expected", amount(sum(expected, from)));
    give("caught", `${share(sum(expected, from) / sum(expected, 0))} of the expected ones`);
    if (!arrests) return;
    give("actual", counts.format(sum(arrests, from)));
    give("recall", `${share(sum(arrests, from) / sum(arrests, 0))} of the recorded ones`);
    give("precision", share(sum(arrests, from) / sum(known, from)));
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}
