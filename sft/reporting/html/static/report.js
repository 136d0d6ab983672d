"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const config = JSON.parse(document.getElementById("chart-config").textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, config };

  // A chart is as wide as its place, which has no width while it is hidden.
  const draw = (root) => {
    for (const figure of all("figure.chart:not([data-drawn])", root)) {
      const plot = figure.querySelector(".plot");
      if (!plot.clientWidth) continue;
      figure.dataset.drawn = "";
      const spec = JSON.parse(figure.querySelector("script").textContent);
      spec.description = `${plot.dataset.title}. ${figure.querySelector("figcaption").textContent}`;
      vegaEmbed(plot, spec, options).catch((error) => {
        plot.textContent = `This chart can't be drawn: ${error.message}`;
      });
    }
  };

  const compare = (a, b) => {
    const missing = (text) => text === "" || text === "–";
    if (missing(a) || missing(b)) return { missing: missing(a) - missing(b) };
    const numbers = [a, b].map((text) => parseFloat(text.replace(/^#|,/g, "")));
    const order = numbers.some(Number.isNaN) ? a.localeCompare(b, undefined, { numeric: true }) : numbers[0] - numbers[1];
    return { order };
  };

  const sort = (button) => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    all("th[aria-sort]", head.parentElement).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const keyed = [...body.rows].map((row) => [row.cells[head.cellIndex]?.textContent.trim() ?? "", row]);
    keyed.sort(([a], [b]) => {
      const { missing, order } = compare(a, b);
      return missing ?? sign * order; // what is missing comes last either way
    });
    body.append(...keyed.map(([, row]) => row));
  };

  const has = (row, text) => row.textContent.toLowerCase().includes(text.trim().toLowerCase());

  const filterItems = (items) => {
    const value = (selector) => items.querySelector(selector)?.value ?? "";
    const rows = [...items.querySelector("tbody").rows];
    for (const row of rows) {
      const fits = !value(".which") || row.classList.contains(value(".which"));
      const ofClass = !value(".class") || (row.dataset.c ?? "").split(" ").includes(value(".class"));
      row.hidden = !(fits && ofClass && has(row, value(".text")));
    }
    items.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };

  const showRun = (id) => {
    for (const run of all("article.run")) run.hidden = run.id !== id;
    draw(document.getElementById(id));
  };

  document.addEventListener("click", ({ target }) => {
    if (target.matches(".sort")) sort(target);
    const pressed = target.closest(".switch button");
    if (!pressed) return;
    for (const button of all("button", pressed.parentElement)) button.setAttribute("aria-pressed", button === pressed);
    pressed.closest("section").querySelector(".matrix").dataset.show = pressed.dataset.show;
  });

  document.addEventListener("input", ({ target }) => {
    if (target.matches(".filter")) {
      for (const row of target.closest("label").nextElementSibling.querySelector("tbody").rows) row.hidden = !has(row, target.value);
    }
    const items = target.closest(".items");
    if (items) filterItems(items);
    if (target.id === "choose-run") showRun(target.value);
  });

  all(".items").forEach(filterItems);
  const chosen = document.getElementById("choose-run");
  if (chosen) showRun(chosen.value);
  draw(document);
})();
