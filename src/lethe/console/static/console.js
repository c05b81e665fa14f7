// What the pages do beside htmx: printing, and what was said of the last thing goes away when the next one is sent.
"use strict";
for (const button of document.querySelectorAll("button.print")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
document.addEventListener("htmx:before:request", (event) => {
  if (event.target.closest("form[method=post]")) {
    document.querySelector("#problem").replaceChildren();
    document.querySelector("#notice")?.remove();
  }
});
document.addEventListener("htmx:after:swap", () => {
  document.querySelector("#problem .problem")?.scrollIntoView({ block: "center" });
  if (document.activeElement === document.body) {
    document.querySelector("#page").focus();
  }
});
