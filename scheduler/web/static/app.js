"use strict";
// What every page does in the browser: the theme, times in the zone of whoever looks, keys, and the CSRF token for htmx.
(() => {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } };
  const show = (theme) => {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme);
  };
  show(kept());
  const select = document.getElementById("theme");
  select.value = kept();
  select.addEventListener("change", () => {
    try { localStorage.setItem("theme", select.value); } catch { /* it lasts for this page, then */ }
    show(select.value);
  });

  const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const localize = (within) => {
    for (const each of within.querySelectorAll("time[datetime]")) {
      if (each.title) continue;
      const moment = new Date(each.dateTime);
      const seconds = (moment - Date.now()) / 1000;
      const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= length) || ["second", 1];
      each.title = `${relative.format(Math.round(seconds / size), unit)} \u2013 ${each.textContent}`;
      each.textContent = absolute.format(moment);
    }
  };
  localize(document);
  document.addEventListener("htmx:after:swap", () => localize(document));

  const help = document.getElementById("help");
  document.getElementById("keys").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const search = document.getElementById("search");
    if (event.key === "/" && search) { event.preventDefault(); search.focus(); }
    if (event.key === "?" && !help.open) { event.preventDefault(); help.showModal(); }
  });

  const token = document.querySelector('meta[name="csrf-token"]');
  document.addEventListener("htmx:config:request", (event) => {
    if (token) event.detail.ctx.request.headers["X-CSRF-Token"] = token.content;
  });
})();
