"use strict";
// Filters by status and by words, and shows the first picture of the films that are in view. Without this script the
// page shows everything and plays everything; only the bar stays away.
(() => {
  const bar = document.querySelector(".bar");
  const find = document.getElementById("find");
  const shown = document.querySelector(".shown");
  const nothing = document.querySelector(".nothing");
  const list = document.querySelector(".cards");
  const buttons = [...bar.querySelectorAll("button")];
  const cards = [...document.querySelectorAll(".card")];
  const texts = new Map();
  let state = "";

  const told = (text) => text.normalize("NFKC").toLowerCase();

  // Read when it is first needed: opening a page of a thousand cards should cost nothing.
  const textOf = (card) => {
    if (!texts.has(card)) {
      texts.set(card, told([...card.querySelectorAll("[data-find]")].map((part) => part.textContent).join("\n")));
    }
    return texts.get(card);
  };

  // Asked first: pausing a film that was never begun makes the browser look for it.
  const rest = (film) => {
    if (film && !film.paused) film.pause();
  };

  // The whole list is taken out of the page's layout at once while cards change (asking for its style makes it so):
  // taking a thousand films out one by one keeps a browser busy for seconds.
  const aside = (change) => {
    list.hidden = true;
    void getComputedStyle(list).display;
    change();
    list.hidden = false;
  };

  const apply = () => aside(filter);

  const filter = () => {
    const words = told(find.value).split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      const fits =
        (!state || card.dataset.state === state) && (!words.length || words.every((word) => textOf(card).includes(word)));
      if (card.hidden === fits) card.hidden = !fits;
      if (fits) count += 1;
      else rest(card.querySelector("video"));
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.state === state));
    shown.textContent = `${count.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
    nothing.hidden = count > 0;
  };

  const choose = (wanted) => {
    state = wanted === state ? "" : wanted;
    apply();
  };

  const clear = () => {
    find.value = "";
    apply();
  };

  const isTyping = (element) => element instanceof HTMLInputElement;

  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.state));
  document.querySelector(".clear").addEventListener("click", () => {
    state = "";
    clear();
    find.focus();
  });
  find.addEventListener("input", apply);
  // While one of a film's own buttons has the focus, Chromium keeps all keys from the page; nothing can be done there.
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !isTyping(event.target)) {
      event.preventDefault();
      find.focus();
      find.select();
    } else if (event.key === "Escape" && (find.value || document.activeElement === find)) {
      event.preventDefault();
      if (find.value) clear();
      else find.blur();
    }
  };
  document.addEventListener("keydown", onKey);

  // One film at a time: whoever starts the next has seen enough of the last.
  document.addEventListener(
    "play",
    (event) => {
      for (const film of document.querySelectorAll("video")) if (film !== event.target) rest(film);
    },
    true,
  );

  // A browser holds only some dozens of films ready, so what left the view untouched is let go again.
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target: film, isIntersecting } of entries) {
        if (isIntersecting && film.preload === "none") film.preload = "metadata";
        else if (!isIntersecting && film.preload !== "none" && film.paused && film.currentTime === 0) {
          film.preload = "none";
          film.setAttribute("src", film.getAttribute("src")); // load() would not heed preload
        }
      }
    },
    { rootMargin: "300px" },
  );
  for (const film of document.querySelectorAll("video")) watch.observe(film);

  bar.hidden = false;
})();
